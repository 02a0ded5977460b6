//! Values one after the other in one piece of memory. Must not know what a value means.

/// Values one after the other, so that ten thousand of them are not ten thousand allocations.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    content: Vec<u8>,
    ends: Vec<usize>,
}

impl Packed {
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.content.extend_from_slice(value);
        self.ends.push(self.content.len());
    }

    pub(crate) fn of<B: AsRef<[u8]>>(values: impl IntoIterator<Item = B>) -> Self {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.push(value.as_ref()));
        packed
    }

    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.content[start..self.ends[row]]
    }

    pub(crate) fn text(&self, row: usize) -> &str {
        // Only texts are put into a packed column of texts.
        std::str::from_utf8(self.get(row)).unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<&[u8]> {
        (0..self.ends.len()).map(|row| self.get(row)).collect()
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        (0..self.ends.len()).map(|row| self.text(row)).collect()
    }
}
