//! The text of a file: unpacked, counted for progress, and within the budget of one row.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// How much is read at once.
pub(super) const BUFFER_BYTES: usize = 1 << 16;

/// Counts the bytes of the file itself, for progress.
pub(super) struct Counted {
    pub(super) source: Box<dyn Read>,
    pub(super) bytes_read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The text of the file, unpacked, within the budget of one row.
pub(super) struct Metered {
    text: Text,
    budget: Rc<Cell<usize>>,
}

enum Text {
    Plain(BufReader<Counted>),
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
}

impl Metered {
    pub(super) fn open(source: Counted, budget: Rc<Cell<usize>>) -> io::Result<Metered> {
        let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
        let is_gzip = source.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let text = if is_gzip {
            Text::Gzip(Box::new(MultiGzDecoder::new(source)))
        } else {
            Text::Plain(source)
        };
        Ok(Metered { text, budget })
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.get();
        if left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = match &mut self.text {
            Text::Plain(text) => text.read(buffer)?,
            Text::Gzip(text) => text.read(buffer)?,
        };
        self.budget.set(left.saturating_sub(count));
        Ok(count)
    }
}
