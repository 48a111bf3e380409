//! JSON (RFC 8259) read front to back by whoever knows what must come: no tree, and no code derived for each structure, which made two fifths of
//! the module that phones fetch (decision 0006).
//!
//! Fields that nobody knows are passed over, a field that comes twice is refused. Nothing is believed: each answer is none where the text is not what was
//! asked for.

use std::borrow::Cow;

/// Arrays and objects within each other, at most.
const DEPTH_MAX: u32 = 32;

/// A text, and how far it was read.
pub struct Json<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

/// What is read of an object or an array, one after the other.
type Each<'e, 'a> = &'e mut dyn FnMut(&str, &mut Json<'a>) -> Option<()>;

/// Takes the first value of a field; none for a second one.
pub fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    let is_first = slot.is_none();
    *slot = Some(value?);
    is_first.then_some(())
}

/// Reads a text that is one object, and nothing behind it.
pub fn object<'a>(bytes: &'a [u8], field: Each<'_, 'a>) -> Option<()> {
    let mut json = Json { text: std::str::from_utf8(bytes).ok()?, at: 0, depth: 0 };
    json.object(field)?;
    json.space();
    (json.at == json.text.len()).then_some(())
}

impl<'a> Json<'a> {
    /// Calls `field` with the name of each field; it must read the value.
    pub fn object(&mut self, field: Each<'_, 'a>) -> Option<()> {
        self.members(b'{', b'}', &mut |json| {
            let name = json.string()?;
            json.sign(b':')?;
            field(&name, json)
        })
    }

    /// All elements of an array.
    pub fn list<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        self.array(&mut |json| {
            list.push(read(json)?);
            Some(())
        })?;
        Some(list)
    }

    /// Calls `element` at each element of an array; it must read it.
    pub fn array(&mut self, element: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.members(b'[', b']', element)
    }

    /// A value, or null.
    pub fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        self.space();
        if self.peek() == Some(b'n') { self.word("null").map(|()| None) } else { read(self).map(Some) }
    }

    /// The sign that the next value begins with.
    pub fn first_sign(&mut self) -> Option<u8> {
        self.space();
        self.peek()
    }

    /// A text, its escapes resolved.
    pub fn text(&mut self) -> Option<String> {
        self.string().map(Cow::into_owned)
    }

    /// A text, not copied where it has no escapes.
    pub fn string(&mut self) -> Option<Cow<'a, str>> {
        self.sign(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => return self.escaped(start).map(Cow::Owned),
                0..=0x1F => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(start..self.at - 1).map(Cow::Borrowed)
    }

    /// A whole number.
    pub fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        let text = self.digits()?;
        if text.contains(['.', 'e', 'E']) || text == "-0" { None } else { text.parse().ok() }
    }

    /// A number.
    pub fn float(&mut self) -> Option<f64> {
        self.digits()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// True or false.
    pub fn flag(&mut self) -> Option<bool> {
        self.space();
        if self.peek() == Some(b't') {
            self.word("true").map(|()| true)
        } else {
            self.word("false").map(|()| false)
        }
    }

    /// Passes over a value of any kind.
    pub fn skip(&mut self) -> Option<()> {
        self.space();
        match self.peek()? {
            b'{' => self.object(&mut |_, json| json.skip()),
            b'[' => self.array(&mut Self::skip),
            b'"' => self.string().map(drop),
            b'n' => self.word("null"),
            b't' | b'f' => self.flag().map(drop),
            _ => self.float().map(drop),
        }
    }

    /// What stands between two signs, parted by commas.
    fn members(
        &mut self,
        open: u8,
        close: u8,
        member: &mut dyn FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.sign(open)?;
        self.depth = Some(self.depth + 1).filter(|depth| *depth <= DEPTH_MAX)?;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
        } else {
            loop {
                member(self)?;
                self.space();
                let sign = self.peek()?;
                self.at += 1;
                if sign == close {
                    break;
                }
                (sign == b',').then_some(())?;
            }
        }
        self.depth -= 1;
        Some(())
    }

    /// RFC 8259 6.
    fn digits(&mut self) -> Option<&'a str> {
        self.space();
        let start = self.at;
        self.pass(b'-');
        let first = self.at;
        self.run()?;
        if self.text.as_bytes().get(first) == Some(&b'0') && self.at > first + 1 {
            return None;
        }
        if self.pass(b'.') {
            self.run()?;
        }
        if self.pass(b'e') || self.pass(b'E') {
            let _ = self.pass(b'+') || self.pass(b'-');
            self.run()?;
        }
        self.text.get(start..self.at)
    }

    /// At least one digit.
    fn run(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// The rest of a text from its first escape on (RFC 8259 7).
    fn escaped(&mut self, start: usize) -> Option<String> {
        let mut text = self.text.get(start..self.at)?.to_owned();
        loop {
            let sign = self.text.get(self.at..)?.chars().next()?;
            self.at += sign.len_utf8();
            match sign {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                '\0'..='\x1F' => return None,
                _ => text.push(sign),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let sign = self.peek()?;
        self.at += 1;
        Some(match sign {
            b'"' | b'\\' | b'/' => char::from(sign),
            b'b' => '\x08',
            b'f' => '\x0C',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                // Half of a pair of UTF-16 stands before the other one, and nowhere else.
                let pair = if (0xD800..0xDC00).contains(&first) {
                    (self.pass(b'\\') && self.pass(b'u')).then_some(())?;
                    vec![first, self.unit()?]
                } else {
                    vec![first]
                };
                char::decode_utf16(pair).next()?.ok()?
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        self.at += 4;
        u16::from_str_radix(digits, 16).ok()
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn sign(&mut self, sign: u8) -> Option<()> {
        self.space();
        self.pass(sign).then_some(())
    }

    fn pass(&mut self, sign: u8) -> bool {
        let is_there = self.peek() == Some(sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests;
