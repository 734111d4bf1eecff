//! The base model inside the binary: a small model that `kelvin pretrain` made from generated programs. It is to
//! the quick start what a pretrained model is to a real run.

/// Names and contents of the files of its folder.
pub(crate) const FILES: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../base/config.json")),
    ("generation_config.json", include_bytes!("../base/generation_config.json")),
    ("tokenizer.json", include_bytes!("../base/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../base/tokenizer_config.json")),
    ("model.safetensors", include_bytes!("../base/model.safetensors")),
];
