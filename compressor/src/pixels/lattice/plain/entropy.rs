//! rANS and the probabilities that learn (SPEC 6.5 and 7).

use super::model::Model;

/// SPEC 7.2.
pub(super) struct Stream<'b> {
    states: [i64; 4],
    turn: usize,
    words: &'b [u8],
    /// A word was wanted where there was none.
    short: bool,
}

impl<'b> Stream<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self { states: [1 << 16; 4], turn: 0, words: bytes, short: false });
        }
        let (states, words) = bytes.split_at_checked(16)?;
        let state = |number: usize| {
            let bytes = &states[4 * number..4 * number + 4];
            bytes.iter().rev().fold(0, |state, byte| state << 8 | i64::from(*byte))
        };
        let states = [state(0), state(1), state(2), state(3)];
        let decides = !words.is_empty() || states != [1 << 16; 4];
        let whole = words.len() % 2 == 0 && states.iter().all(|state| *state >= 1 << 16) && decides;
        whole.then_some(Self { states, turn: 0, words, short: false })
    }

    fn place(&self) -> i64 {
        self.states[self.turn] & 32_767
    }

    /// SPEC 7.1.
    fn take(&mut self, start: i64, length: i64) {
        let mut state = length * (self.states[self.turn] >> 15) + self.place() - start;
        if state < 1 << 16 {
            let word = match *self.words {
                [low, high, ref rest @ ..] => {
                    self.words = rest;
                    i64::from(low) + 256 * i64::from(high)
                }
                _ => {
                    self.short = true;
                    0
                }
            };
            state = state << 16 | word;
        }
        self.states[self.turn] = state;
        self.turn = (self.turn + 1) % 4;
    }

    /// SPEC 7.3.
    pub(super) fn chance(&mut self, p: &mut i64) -> bool {
        let yes = self.place() < *p;
        if yes {
            self.take(0, *p);
            *p += (32_768 - *p) >> 5;
        } else {
            self.take(*p, 32_768 - *p);
            *p -= *p >> 5;
        }
        yes
    }

    /// SPEC 7.4.
    pub(super) fn field(&mut self, bits: u32) -> i64 {
        let now = bits.min(8);
        let length = 32_768 >> now;
        let low = self.place() / length;
        self.take(low * length, length);
        if bits > now { low + (self.field(bits - now) << now) } else { low }
    }

    pub(super) fn ended(&self) -> bool {
        !self.short && self.words.is_empty() && self.states == [1 << 16; 4]
    }
}

/// All contexts of a part.
pub(super) struct Contexts(Vec<Context>);

pub(super) struct Context {
    counts: [i64; 32],
    lengths: [i64; 32],
    /// Symbols since the range was shared out, and how many there shall be.
    symbols: i64,
    gap: i64,
}

impl Contexts {
    pub(super) fn new(model: &Model) -> Self {
        Self(model.frequencies.iter().map(Context::new).collect())
    }

    /// Reads d (SPEC 6.3).
    pub(super) fn error(&mut self, context: usize, stream: &mut Stream<'_>) -> i64 {
        let symbol = self.0[context].symbol(stream);
        let h = if symbol < 31 {
            symbol as i64 - 15
        } else {
            let negative = stream.field(1) == 1;
            let length = stream.field(5).min(17) as u32;
            let size = 15 + (1 << length) + stream.field(length);
            if negative { -size } else { size }
        };
        let k = if (60..144).contains(&context) { (context as u32 / 3 - 17) / 3 } else { 0 };
        if k == 0 { h } else { (h << k) + stream.field(k) - ((1 << k) >> 1) }
    }
}

impl Context {
    /// SPEC 2.6.
    pub(super) fn of_corrections(spread: i64) -> Self {
        Self::new(&std::array::from_fn(|symbol| i64::from((symbol as i64 - 15).abs() <= spread)))
    }

    /// SPEC 6.5.
    fn new(frequencies: &[i64; 32]) -> Self {
        let sum = frequencies.iter().sum::<i64>().max(1);
        let mut context =
            Self { counts: frequencies.map(|f| f * 16_000 / sum), lengths: [0; 32], symbols: 0, gap: 16 };
        context.share();
        context
    }

    fn share(&mut self) {
        let q = (32_736 << 16) / self.counts.iter().sum::<i64>().max(1);
        self.lengths = self.counts.map(|count| 1 + ((count * q) >> 16));
        let longest = self.lengths.iter().max().copied().unwrap_or(0);
        let last = self.lengths.iter().rposition(|length| *length == longest).unwrap_or(0);
        self.lengths[last] += 32_768 - self.lengths.iter().sum::<i64>();
    }

    pub(super) fn symbol(&mut self, stream: &mut Stream<'_>) -> usize {
        let (mut symbol, mut start) = (0, 0);
        while stream.place() >= start + self.lengths[symbol] {
            start += self.lengths[symbol];
            symbol += 1;
        }
        stream.take(start, self.lengths[symbol]);
        self.counts[symbol] += 16;
        self.symbols += 1;
        if self.symbols == self.gap {
            if self.counts.iter().sum::<i64>() > 28_800 {
                self.counts = self.counts.map(|count| count / 2);
            }
            self.share();
            self.symbols = 0;
            self.gap = (2 * self.gap).min(256);
        }
        symbol
    }
}
