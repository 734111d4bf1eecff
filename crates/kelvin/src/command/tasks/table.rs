//! Tasks as a table in Apache Parquet's format, with the columns of `docs/formats.md`.

use std::sync::Arc;

use kelvin_core::task::Task;
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::Result,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

const SCHEMA: &str = "message tasks {
    optional binary task_type (STRING);
    optional int64 born;
    optional binary payload (STRING);
    optional binary label_answer (STRING);
    optional double label_share;
}";

/// The file of a table.
///
/// # Errors
/// If a column is larger than the format allows.
pub(super) fn file(tasks: &[Task]) -> Result<Vec<u8>> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let text = |it: String| ByteArray::from(it.into_bytes());
    column::<ByteArrayType>(&mut group, tasks, |it| Some(text(it.task_type.to_string())))?;
    column::<Int64Type>(&mut group, tasks, |it| Some(i64::from(it.born)))?;
    column::<ByteArrayType>(&mut group, tasks, |it| Some(text(it.payload.to_string())))?;
    column::<ByteArrayType>(&mut group, tasks, |it| Some(text(it.label.clone()?.answer)))?;
    column::<DoubleType>(&mut group, tasks, |it| Some(f64::from(it.label.as_ref()?.share)))?;
    group.close()?;
    writer.into_inner()
}

/// The next column of the schema; a value that is not there is missing.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    tasks: &[Task],
    of: impl Fn(&Task) -> Option<T::T>,
) -> Result<()> {
    let values: Vec<Option<T::T>> = tasks.iter().map(of).collect();
    let is_there: Vec<i16> = values.iter().map(|it| i16::from(it.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    let mut column = group.next_column()?.expect("a column for each of the schema's");
    column.typed::<T>().write_batch(&values, Some(&is_there), None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use kelvin_core::task::{Label, TaskType};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_table_is_read_back() {
        let payload = json!({"snippet": "é"});
        let task = |label| Task { task_type: TaskType::Deduction, born: 3, label, payload: payload.clone() };
        let label = Label { answer: "4".to_owned(), share: 0.75 };
        let bytes = file(&[task(None), task(Some(label))]).unwrap();
        let reader = SerializedFileReader::new(prost::bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<Value> =
            reader.get_row_iter(None).unwrap().map(|it| it.unwrap().to_json_value()).collect();
        let row = |answer: Value, share: Value| {
            json!({"task_type": "deduction", "born": 3, "payload": "{\"snippet\":\"é\"}",
                "label_answer": answer, "label_share": share})
        };
        assert_eq!(rows, [row(Value::Null, Value::Null), row(json!("4"), json!(0.75))]);
    }

    #[test]
    fn a_table_of_nothing_has_its_columns() {
        let reader = SerializedFileReader::new(prost::bytes::Bytes::from(file(&[]).unwrap())).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        assert_eq!(reader.metadata().file_metadata().schema_descr().num_columns(), 5);
    }
}
