//! The columns that a mapping names, and where a file has them.

/// A column that the mapping names: its place in [`Columns`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Column(usize);

/// The columns that a mapping names, each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Columns {
    names: Vec<String>,
}

/// Where a file has the columns of a mapping: the index of the field, by column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    fields: Vec<usize>,
}

/// Why a file does not fit a mapping.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    #[error("has no column {name:?}, which the mapping names; it has: {found}")]
    Missing { name: String, found: String },
    #[error("has two columns named {name:?}, which the mapping names: rename one of them")]
    Twice { name: String },
}

impl Columns {
    /// The column of this name, which is noted if it was not named before.
    pub(crate) fn name(&mut self, name: &str) -> Column {
        let index = self.names.iter().position(|one| one == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        Column(index)
    }

    /// The names, in the order of the columns.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// What `column` is called.
    pub(crate) fn name_of(&self, column: Column) -> &str {
        &self.names[column.0]
    }

    /// Where a file with this header has the columns.
    pub(crate) fn layout(&self, header: &[String]) -> Result<Layout, LayoutError> {
        let field_of = |name: &String| {
            let mut fields = (0..header.len()).filter(|index| header[*index] == *name);
            match (fields.next(), fields.next()) {
                (Some(field), None) => Ok(field),
                (Some(_), Some(_)) => Err(LayoutError::Twice { name: name.clone() }),
                (None, _) => Err(LayoutError::Missing {
                    name: name.clone(),
                    found: header.join(", "),
                }),
            }
        };
        let fields = self.names.iter().map(field_of).collect::<Result<_, _>>()?;
        Ok(Layout { fields })
    }
}

impl Layout {
    /// Columns that lie in a record as they lie in the mapping.
    pub(crate) fn straight(columns: &Columns) -> Layout {
        Layout {
            fields: (0..columns.names.len()).collect(),
        }
    }

    /// The index of the field of `column`.
    pub(crate) fn field(&self, column: Column) -> usize {
        self.fields[column.0]
    }
}
