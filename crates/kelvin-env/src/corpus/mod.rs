//! Programs of our own making: what the embedded base model reads and what a held-out set is drawn from.
