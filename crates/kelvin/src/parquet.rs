//! Tables in Apache Parquet's format, as far as a table of texts and numbers needs it: one row group, one page a column,
//! plain values, no compression (parquet.apache.org, file format 2; Thrift's compact protocol for what describes them).

use crate::varint::varint;

/// A column; all of a table have as many values. A missing value is `None`.
pub(crate) enum Column {
    /// UTF-8.
    Text(Vec<Option<String>>),
    /// Whole numbers.
    Integer(Vec<Option<i64>>),
    /// Floats.
    Float(Vec<Option<f64>>),
}

const MAGIC: &[u8] = b"PAR1";
/// Encodings: of values, and of levels.
const PLAIN: i64 = 0;
const RLE: i64 = 3;

/// The file of a table.
///
/// # Panics
/// If columns have different lengths.
pub(crate) fn file(columns: &[(&str, Column)]) -> Vec<u8> {
    let n_rows = columns.first().map_or(0, |it| it.1.len());
    let mut file = MAGIC.to_vec();
    let mut chunks = Vec::new();
    for (name, column) in columns {
        assert_eq!(column.len(), n_rows, "values of {name}");
        let (start, page) = (file.len(), column.page());
        file.extend(page_header(n_rows, page.len()));
        file.extend(page);
        chunks.push(chunk(name, column, n_rows, start, file.len() - start));
    }
    let n_bytes = file.len() - MAGIC.len();
    let mut group = Struct::default();
    group.list(1, Kind::Struct, chunks);
    group.integer(2, n_bytes as i64);
    group.integer(3, n_rows as i64);
    let mut root = Struct::default();
    root.text(4, "schema");
    root.small(5, columns.len() as i64);
    let mut schema = vec![root.end()];
    schema.extend(columns.iter().map(|(name, column)| column.schema(name)));
    let mut footer = Struct::default();
    footer.small(1, 2);
    footer.list(2, Kind::Struct, schema);
    footer.integer(3, n_rows as i64);
    footer.list(4, Kind::Struct, vec![group.end()]);
    footer.text(6, concat!("kelvin version ", env!("CARGO_PKG_VERSION")));
    let footer = footer.end();
    file.extend(&footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(MAGIC);
    file
}

fn page_header(n_rows: usize, n_bytes: usize) -> Vec<u8> {
    let mut of_values = Struct::default();
    of_values.small(1, n_rows as i64);
    for (field, encoding) in [(2, PLAIN), (3, RLE), (4, RLE)] {
        of_values.small(field, encoding);
    }
    let mut header = Struct::default();
    header.small(1, 0);
    header.small(2, n_bytes as i64);
    header.small(3, n_bytes as i64);
    header.nested(5, of_values);
    header.end()
}

fn chunk(name: &str, column: &Column, n_rows: usize, start: usize, n_bytes: usize) -> Vec<u8> {
    let mut what = Struct::default();
    what.small(1, column.physical());
    what.list(2, Kind::Small, vec![zigzag(PLAIN), zigzag(RLE)]);
    what.list(3, Kind::Text, vec![text(name)]);
    what.small(4, 0);
    what.integer(5, n_rows as i64);
    what.integer(6, n_bytes as i64);
    what.integer(7, n_bytes as i64);
    what.integer(9, start as i64);
    let mut chunk = Struct::default();
    chunk.integer(2, start as i64);
    chunk.nested(3, what);
    chunk.end()
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Column::Text(values) => values.len(),
            Column::Integer(values) => values.len(),
            Column::Float(values) => values.len(),
        }
    }

    /// INT64, DOUBLE or BYTE_ARRAY.
    fn physical(&self) -> i64 {
        match self {
            Column::Integer(_) => 2,
            Column::Float(_) => 5,
            Column::Text(_) => 6,
        }
    }

    /// A field that may be missing; texts say that they are UTF-8.
    fn schema(&self, name: &str) -> Vec<u8> {
        let mut element = Struct::default();
        element.small(1, self.physical());
        element.small(3, 1);
        element.text(4, name);
        if matches!(self, Column::Text(_)) {
            element.small(6, 0);
            let mut logical = Struct::default();
            logical.nested(1, Struct::default());
            element.nested(10, logical);
        }
        element.end()
    }

    /// Which values there are, then those.
    fn page(&self) -> Vec<u8> {
        let (is_there, values): (Vec<bool>, Vec<Vec<u8>>) = match self {
            Column::Text(values) => {
                parts(values, |it| [&(it.len() as u32).to_le_bytes()[..], it.as_bytes()].concat())
            }
            Column::Integer(values) => parts(values, |it| it.to_le_bytes().to_vec()),
            Column::Float(values) => parts(values, |it| it.to_le_bytes().to_vec()),
        };
        let mut levels = Vec::new();
        for run in is_there.chunk_by(|a, b| a == b) {
            levels.extend(varint((run.len() as u64) << 1));
            levels.push(u8::from(run[0]));
        }
        let mut page = (levels.len() as u32).to_le_bytes().to_vec();
        page.extend(levels);
        page.extend(values.concat());
        page
    }
}

fn parts<T>(values: &[Option<T>], bytes: impl Fn(&T) -> Vec<u8>) -> (Vec<bool>, Vec<Vec<u8>>) {
    (values.iter().map(Option::is_some).collect(), values.iter().flatten().map(bytes).collect())
}

/// Kinds of values in Thrift's compact protocol.
#[derive(Clone, Copy)]
enum Kind {
    Small = 5,
    Integer = 6,
    Text = 8,
    List = 9,
    Struct = 12,
}

/// A struct of Thrift as far as it is written; fields come in rising order.
#[derive(Default)]
struct Struct {
    bytes: Vec<u8>,
    last: u8,
}

impl Struct {
    fn field(&mut self, field: u8, kind: Kind, value: &[u8]) {
        let step = field - self.last;
        assert!((1..16).contains(&step), "fields rise, without wide gaps");
        self.bytes.push(step << 4 | kind as u8);
        self.bytes.extend(value);
        self.last = field;
    }

    /// A number of 32 bits, or an enumeration's.
    fn small(&mut self, field: u8, value: i64) {
        self.field(field, Kind::Small, &zigzag(value));
    }

    fn integer(&mut self, field: u8, value: i64) {
        self.field(field, Kind::Integer, &zigzag(value));
    }

    fn text(&mut self, field: u8, value: &str) {
        self.field(field, Kind::Text, &text(value));
    }

    fn nested(&mut self, field: u8, value: Struct) {
        self.field(field, Kind::Struct, &value.end());
    }

    fn list(&mut self, field: u8, of: Kind, values: Vec<Vec<u8>>) {
        let mut bytes = match values.len() {
            n @ 0..15 => vec![(n as u8) << 4 | of as u8],
            n => [vec![0xf0 | of as u8], varint(n as u64)].concat(),
        };
        bytes.extend(values.concat());
        self.field(field, Kind::List, &bytes);
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn text(value: &str) -> Vec<u8> {
    [varint(value.len() as u64), value.as_bytes().to_vec()].concat()
}

fn zigzag(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte against the format: a table of one column with a missing value.
    #[test]
    fn a_small_table_is_laid_out_as_the_format_says() {
        let found = file(&[("n", Column::Integer(vec![Some(3), None]))]);
        let page = [
            &[4, 0, 0, 0, 2, 1, 2, 0][..], // levels: one value, then one missing
            &[3, 0, 0, 0, 0, 0, 0, 0][..], // 3
        ]
        .concat();
        // type 0, both sizes 16, then the page: 2 values, PLAIN, RLE, RLE.
        let header = [0x15, 0, 0x15, 32, 0x15, 32, 0x2c, 0x15, 4, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0];
        let start = [MAGIC, &header, &page].concat();
        assert_eq!(found[..start.len()], start);
        let n_footer = u32::from_le_bytes(found[found.len() - 8..found.len() - 4].try_into().unwrap());
        assert_eq!(start.len() + n_footer as usize + 8, found.len());
        assert!(found.ends_with(MAGIC));
    }

    #[test]
    fn numbers_are_packed() {
        assert_eq!((varint(300), zigzag(-1), zigzag(150)), (vec![0xac, 2], vec![1], vec![0xac, 2]));
    }
}
