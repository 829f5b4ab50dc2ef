//! Protobuf's wire format, read by its numbers alone: nothing of the code under test decides what they mean.

/// One message: its fields in order.
#[derive(Debug)]
pub(crate) struct Message<'a>(Vec<(u64, Field<'a>)>);

#[derive(Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Reads a whole message; panics where it is none.
    pub(crate) fn read(mut rest: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let tag = varint(&mut rest);
            let field = match tag & 7 {
                0 => Field::Number(varint(&mut rest)),
                1 => Field::Number(u64::from_le_bytes(cut(&mut rest, 8).try_into().unwrap())),
                2 => {
                    let len = varint(&mut rest) as usize;
                    Field::Bytes(cut(&mut rest, len))
                }
                5 => Field::Number(u32::from_le_bytes(cut(&mut rest, 4).try_into().unwrap()).into()),
                other => panic!("wire type {other}"),
            };
            fields.push((tag >> 3, field));
        }
        Self(fields)
    }

    /// Whether a field stands here.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.0.iter().any(|(found, _)| *found == number)
    }

    /// The number of a field; 0 where it does not stand here, as protobuf wants it.
    pub(crate) fn number(&self, number: u64) -> u64 {
        let found = self.0.iter().filter(|(found, _)| *found == number);
        found
            .map(|(_, field)| if let Field::Number(value) = field { *value } else { panic!("{field:?}") })
            .sum()
    }

    /// The bytes of a field.
    pub(crate) fn bytes(&self, number: u64) -> &'a [u8] {
        self.all(number).next().unwrap_or_default()
    }

    /// The messages of a field that may stand several times.
    pub(crate) fn messages(&self, number: u64) -> impl Iterator<Item = Message<'a>> {
        self.all(number).map(Message::read)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(found, _)| *found == number).map(|(_, field)| match field {
            Field::Bytes(bytes) => *bytes,
            Field::Number(_) => panic!("{field:?}"),
        })
    }
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A number as text; those below 0 are written as large ones.
pub(crate) fn number(value: u64) -> String {
    (value as i64).to_string()
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = cut(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a number of too many bytes")
}

fn cut<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(len);
    *rest = left;
    taken
}
