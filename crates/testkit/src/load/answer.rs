//! Reads HTTP/1.1 answers from whatever pieces the network delivers: status, body by length, by chunks or
//! until the connection closes. Strict: what it does not understand is an error, never a guess.

/// A head longer than this is no head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most that one answer may hold.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is wrong with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// One answer in the making. It is reused: `reset` makes it ready for the next.
#[derive(Debug)]
pub(super) struct AnswerReader {
    state: State,
    /// A head or chunk line of which only a part has come.
    partial: Vec<u8>,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The server will close the connection after this answer.
    pub(super) closes: bool,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum State {
    Head,
    Body { left: usize },
    UntilClose,
    ChunkSize,
    Chunk { left: usize },
    ChunkEnd,
    Trailer,
    Done,
}

enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl AnswerReader {
    pub(super) fn new() -> AnswerReader {
        AnswerReader {
            state: State::Head,
            partial: Vec::new(),
            status: 0,
            body: Vec::new(),
            closes: false,
        }
    }

    pub(super) fn reset(&mut self) {
        self.state = State::Head;
        self.partial.clear();
        self.status = 0;
        self.body.clear();
        self.closes = false;
    }

    /// Takes what has come; answers whether the answer is whole. Bytes behind a whole answer are an error,
    /// because nothing was asked that they could answer.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<bool, Malformed> {
        loop {
            match self.state {
                State::Done if bytes.is_empty() => return Ok(true),
                State::Done => return Err(Malformed("bytes behind the answer")),
                _ if bytes.is_empty() => return Ok(false),
                State::Head => self.take_head(&mut bytes)?,
                State::Body { left } => {
                    let left = self.take_body(&mut bytes, left)?;
                    self.state = if left == 0 {
                        State::Done
                    } else {
                        State::Body { left }
                    };
                }
                State::UntilClose => {
                    self.take_body(&mut bytes, usize::MAX)?;
                }
                State::ChunkSize => self.take_chunk_size(&mut bytes)?,
                State::Chunk { left } => {
                    let left = self.take_body(&mut bytes, left)?;
                    self.state = if left == 0 {
                        State::ChunkEnd
                    } else {
                        State::Chunk { left }
                    };
                }
                State::ChunkEnd => {
                    if let Some(line) = self.line(&mut bytes)? {
                        self.state = State::ChunkSize;
                        if !line.is_empty() {
                            return Err(Malformed("a chunk longer than it says"));
                        }
                    }
                }
                State::Trailer => {
                    if let Some(line) = self.line(&mut bytes)?
                        && line.is_empty()
                    {
                        self.state = State::Done;
                    }
                }
            }
        }
    }

    /// The connection has ended: answers whether the answer is whole by that.
    pub(super) fn end(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.state == State::Done
    }

    fn take_head(&mut self, bytes: &mut &[u8]) -> Result<(), Malformed> {
        // Nearly always the whole head comes at once and is read where it lies.
        if self.partial.is_empty()
            && let Some(end) = head_end(bytes, 0)
        {
            let (head, rest) = bytes.split_at(end);
            *bytes = rest;
            return self.read_head(head);
        }
        let searched = self.partial.len().saturating_sub(3);
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let Some(end) = head_end(&self.partial, searched) else {
            *bytes = &[];
            return if self.partial.len() > HEAD_BYTES_MAX {
                Err(Malformed("an endless head"))
            } else {
                Ok(())
            };
        };
        *bytes = bytes.get(end - before..).unwrap_or_default();
        let mut head = std::mem::take(&mut self.partial);
        let read = self.read_head(head.get(..end).unwrap_or_default());
        head.clear();
        self.partial = head;
        read
    }

    fn read_head(&mut self, head: &[u8]) -> Result<(), Malformed> {
        let mut lines = head
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.next().unwrap_or_default();
        let code = first
            .strip_prefix(b"HTTP/1.1 ")
            .ok_or(Malformed("no HTTP/1.1 status line"))?;
        let code = code
            .get(..3)
            .and_then(number)
            .ok_or(Malformed("no status code"))?;
        self.status = u16::try_from(code).map_err(|_| Malformed("no status code"))?;
        let mut framing = Framing::UntilClose;
        for line in lines {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"content-length") {
                let length = number(value).ok_or(Malformed("a content-length that is no number"))?;
                framing = Framing::Length(length);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("a transfer-encoding other than chunked"));
                }
                framing = Framing::Chunked;
            } else if name.eq_ignore_ascii_case(b"connection") && value.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            }
        }
        if matches!(self.status, 204 | 304) {
            framing = Framing::None;
        }
        self.state = match framing {
            // An interim answer: the one that counts follows.
            _ if (100..200).contains(&self.status) => State::Head,
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Body { left },
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => {
                self.closes = true;
                State::UntilClose
            }
        };
        Ok(())
    }

    /// Moves at most `left` bytes into the body and answers how many are left then.
    fn take_body(&mut self, bytes: &mut &[u8], left: usize) -> Result<usize, Malformed> {
        let (now, rest) = bytes.split_at(left.min(bytes.len()));
        if self.body.len() + now.len() > BODY_BYTES_MAX {
            return Err(Malformed("an endless body"));
        }
        self.body.extend_from_slice(now);
        *bytes = rest;
        Ok(left - now.len())
    }

    fn take_chunk_size(&mut self, bytes: &mut &[u8]) -> Result<(), Malformed> {
        let Some(line) = self.line(bytes)? else {
            return Ok(());
        };
        let digits = line
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let text = std::str::from_utf8(digits).map_err(|_| Malformed("no chunk size"))?;
        let left = usize::from_str_radix(text, 16).map_err(|_| Malformed("no chunk size"))?;
        self.state = if left == 0 {
            State::Trailer
        } else {
            State::Chunk { left }
        };
        Ok(())
    }

    /// The next whole line without its end, or `None` when more must come.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.partial.extend_from_slice(bytes);
            *bytes = &[];
            return if self.partial.len() > HEAD_BYTES_MAX {
                Err(Malformed("an endless line"))
            } else {
                Ok(None)
            };
        };
        let (now, rest) = bytes.split_at(end + 1);
        *bytes = rest;
        let mut line = std::mem::take(&mut self.partial);
        line.extend_from_slice(now);
        let text = line
            .strip_suffix(b"\r\n")
            .ok_or(Malformed("a line without CR LF"))?;
        Ok(Some(text.to_vec()))
    }
}

fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let found = bytes
        .get(from..)?
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?;
    Some(from + found + 4)
}

fn number(digits: &[u8]) -> Option<usize> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether in one piece or cut anywhere in two, an answer reads the same.
    fn check(text: &str, status: u16, body: &str, closes: bool) {
        let bytes = text.as_bytes();
        for cut in 0..bytes.len() {
            let mut reader = AnswerReader::new();
            let (first, second) = bytes.split_at(cut);
            assert_eq!(reader.take(first), Ok(false), "whole after {cut} bytes");
            assert_eq!(reader.take(second), Ok(true), "not whole when cut at {cut}");
            assert_eq!(
                (reader.status, reader.body.as_slice(), reader.closes),
                (status, body.as_bytes(), closes),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_body_by_length_is_read_whole_however_it_is_cut() {
        check(
            "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
            201,
            "hello",
            false,
        );
    }

    #[test]
    fn chunks_are_put_together_and_trailers_dropped() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n1;ext=1\r\n!\r\n0\r\nDigest: x\r\n\r\n";
        check(text, 200, "hello!", false);
    }

    #[test]
    fn an_answer_without_a_body_ends_with_its_head() {
        check("HTTP/1.1 204 No Content\r\n\r\n", 204, "", false);
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            200,
            "",
            true,
        );
    }

    #[test]
    fn an_interim_answer_is_passed_over() {
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
            200,
            "x",
            false,
        );
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let mut reader = AnswerReader::new();
        assert_eq!(reader.take(b"HTTP/1.1 200 OK\r\n\r\nall of it"), Ok(false));
        assert!(reader.end());
        assert_eq!(reader.body, b"all of it");
    }

    #[test]
    fn a_cut_answer_is_not_whole_at_the_end_of_the_connection() {
        let mut reader = AnswerReader::new();
        assert_eq!(
            reader.take(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal"),
            Ok(false)
        );
        assert!(!reader.end());
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
        ] {
            assert!(
                AnswerReader::new().take(text.as_bytes()).is_err(),
                "taken: {text:?}"
            );
        }
    }

    #[test]
    fn a_reader_is_as_new_after_its_reset() {
        let mut reader = AnswerReader::new();
        reader
            .take(b"HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno")
            .unwrap();
        reader.reset();
        assert_eq!(
            reader.take(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes"),
            Ok(true)
        );
        assert_eq!(
            (reader.status, reader.body.as_slice(), reader.closes),
            (200, b"yes".as_slice(), false)
        );
    }
}
