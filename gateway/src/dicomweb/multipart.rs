//! The parts of a multipart body, as its bytes come (RFC 2046 5.1.1). Holds back what may be the begin of a boundary and nothing else.

/// Longest boundary (RFC 2046 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;
/// Longest header of a part, in bytes; real ones have some hundred.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Longest text before the first boundary, in bytes.
const PREAMBLE_BYTES_MAX: usize = 64 << 10;
const END_OF_HEADER: &[u8] = b"\r\n\r\n";

/// What the bytes told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A part begins.
    Begin,
    /// Bytes of it.
    Data(&'a [u8]),
    /// It ends.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    /// Right behind a boundary.
    Boundary,
    Header,
    Body,
    /// Behind the last boundary: whatever follows means nothing.
    Over,
}

/// Where in a body we are.
pub(super) struct Multipart {
    delimiter: Vec<u8>,
    /// What came and is not told yet.
    held: Vec<u8>,
    state: State,
}

impl Multipart {
    /// Of the value of a Content-Type; none where it is not `multipart/related` with a boundary.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let mut parameters = parameters(content_type);
        let is_multipart = parameters.next()?.trim().eq_ignore_ascii_case("multipart/related");
        let boundary = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
        })?;
        let is_valid = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len());
        // The first boundary may stand at the very begin: it is found as if a line had ended before it.
        let (delimiter, held) = (format!("\r\n--{boundary}").into_bytes(), b"\r\n".to_vec());
        (is_multipart && is_valid).then_some(Self { delimiter, held, state: State::Preamble })
    }

    /// The last boundary has come.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Takes bytes, and hands over what they told.
    pub(super) fn take<E: From<&'static str>>(
        &mut self,
        bytes: &[u8],
        mut tell: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut rest = held.as_slice();
        while let Some(behind) = self.step(rest, &mut tell)? {
            rest = behind;
        }
        self.held = rest.to_vec();
        Ok(())
    }

    /// What is left after the next thing was told; none where more bytes are needed first.
    fn step<'a, E: From<&'static str>>(
        &mut self,
        rest: &'a [u8],
        tell: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<Option<&'a [u8]>, E> {
        match self.state {
            State::Preamble => self.preamble(rest),
            State::Boundary => self.boundary(rest),
            State::Header => self.header(rest, tell),
            State::Body => self.body(rest, tell),
            State::Over if rest.is_empty() => Ok(None),
            State::Over => Ok(Some(&[])),
        }
    }

    fn preamble<'a, E: From<&'static str>>(&mut self, rest: &'a [u8]) -> Result<Option<&'a [u8]>, E> {
        match find(rest, &self.delimiter) {
            Some(at) => {
                self.state = State::Boundary;
                Ok(rest.get(at + self.delimiter.len()..))
            }
            None if rest.len() > PREAMBLE_BYTES_MAX => Err("a multipart body without its boundary".into()),
            None => Ok(None),
        }
    }

    fn boundary<'a, E: From<&'static str>>(&mut self, rest: &'a [u8]) -> Result<Option<&'a [u8]>, E> {
        if rest.starts_with(b"--") {
            self.state = State::Over;
            return Ok(Some(&[]));
        }
        // The header may be empty: the end of this line is the first half of its end.
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let behind = rest.get(padding..).unwrap_or_default();
        match behind {
            [b'\r', b'\n', ..] => {
                self.state = State::Header;
                Ok(Some(behind))
            }
            [] | [b'\r'] | [b'-'] if padding <= HEADER_BYTES_MAX => Ok(None),
            _ => Err("a multipart body with a boundary that goes on".into()),
        }
    }

    fn header<'a, E: From<&'static str>>(
        &mut self,
        rest: &'a [u8],
        tell: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<Option<&'a [u8]>, E> {
        match find(rest, END_OF_HEADER) {
            Some(at) if at <= HEADER_BYTES_MAX => {
                tell(Piece::Begin)?;
                self.state = State::Body;
                Ok(rest.get(at + END_OF_HEADER.len()..))
            }
            None if rest.len() <= HEADER_BYTES_MAX => Ok(None),
            _ => Err("a part with a header that is too long".into()),
        }
    }

    fn body<'a, E: From<&'static str>>(
        &mut self,
        rest: &'a [u8],
        tell: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<Option<&'a [u8]>, E> {
        if let Some(at) = find(rest, &self.delimiter) {
            tell_data(rest.get(..at), tell)?;
            tell(Piece::End)?;
            self.state = State::Boundary;
            return Ok(rest.get(at + self.delimiter.len()..));
        }
        let safe = rest.len().saturating_sub(self.delimiter.len() - 1);
        if safe == 0 {
            return Ok(None);
        }
        tell_data(rest.get(..safe), tell)?;
        Ok(rest.get(safe..))
    }
}

fn tell_data<E>(bytes: Option<&[u8]>, tell: &mut impl FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
    match bytes {
        Some(bytes) if !bytes.is_empty() => tell(Piece::Data(bytes)),
        _ => Ok(()),
    }
}

fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = bytes.get(from..)?;
        let at = from + rest.iter().position(|byte| Some(byte) == sought.first())?;
        if bytes.get(at..)?.starts_with(sought) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Parts between semicolons that stand in no quotes.
fn parameters(value: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    value.split(move |character| {
        is_quoted ^= character == '"';
        character == ';' && !is_quoted
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPE: &str = "multipart/related; type=\"application/dicom;x\"; boundary=\"a-b\"";

    #[derive(Debug, PartialEq)]
    struct Wrong(&'static str);

    impl From<&'static str> for Wrong {
        fn from(words: &'static str) -> Self {
            Self(words)
        }
    }

    /// The parts of a body that comes in pieces of so many bytes, and whether it was over.
    fn parts(body: &[u8], piece: usize) -> Result<(Vec<Vec<u8>>, bool), Wrong> {
        let mut multipart = Multipart::of(TYPE).unwrap();
        let (mut parts, mut open) = (Vec::new(), None);
        for bytes in body.chunks(piece) {
            multipart.take(bytes, |told| {
                match told {
                    Piece::Begin => open = Some(Vec::new()),
                    Piece::Data(bytes) => open.as_mut().unwrap().extend_from_slice(bytes),
                    Piece::End => parts.push(open.take().unwrap()),
                }
                Ok::<(), Wrong>(())
            })?;
            assert!(multipart.held.len() <= PREAMBLE_BYTES_MAX + piece);
        }
        Ok((parts, multipart.is_over()))
    }

    #[test]
    fn parts_come_out_whatever_the_pieces_are() {
        let body = b"ignored\r\n--a-b\r\nContent-Type: application/dicom\r\n\r\none\r\n--a-\r\n--a-b  \r\n\r\n\r\n--a-b\r\nX: y\r\n\r\n\r\nthree\r\n\r\n--a-b--\r\nignored";
        let expected = vec![b"one\r\n--a-".to_vec(), Vec::new(), b"\r\nthree\r\n".to_vec()];
        for piece in 1..=body.len() {
            assert_eq!(parts(body, piece), Ok((expected.clone(), true)), "{piece}");
        }
        assert_eq!(parts(b"--a-b--", 1), Ok((Vec::new(), true)));
        assert_eq!(parts(b"--a-b\r\n\r\nhalf", 3), Ok((Vec::new(), false)));
    }

    #[test]
    fn what_is_no_multipart_is_refused() {
        for wrong in
            ["text/html", "multipart/related", "multipart/related; boundary=", "multipart/mixed; boundary=x"]
        {
            assert!(Multipart::of(wrong).is_none(), "{wrong}");
        }
        assert!(Multipart::of(&format!("multipart/related; boundary={}", "x".repeat(71))).is_none());
        assert!(Multipart::of("Multipart/Related;BOUNDARY=x").is_some());
        let endless = vec![b'x'; PREAMBLE_BYTES_MAX + 10];
        assert_eq!(parts(&endless, 1000), Err(Wrong("a multipart body without its boundary")));
        let long = [b"--a-b\r\n".to_vec(), vec![b'x'; HEADER_BYTES_MAX + 10]].concat();
        assert_eq!(parts(&long, 1000), Err(Wrong("a part with a header that is too long")));
        assert!(parts(b"--a-bc\r\n\r\n", 4).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end(body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'a'), Just(b'b'), any::<u8>()], 0..300), piece in 1_usize..50) {
            let _ = parts(&body, piece);
        }

        #[test]
        fn what_was_put_in_comes_out(contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5), piece in 1_usize..300) {
            let mut body = Vec::new();
            for content in &contents {
                prop_assume!(find(content, b"\r\n--a-b").is_none());
                body.extend_from_slice(b"\r\n--a-b\r\nContent-Type: application/dicom\r\n\r\n");
                body.extend_from_slice(content);
            }
            body.extend_from_slice(b"\r\n--a-b--");
            prop_assert_eq!(parts(&body, piece), Ok((contents, true)));
        }
    }
}
