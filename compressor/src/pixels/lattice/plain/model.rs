//! The model of a series (SPEC 3).

/// What is sent of one step.
pub(super) struct Step {
    pub(super) limits: Vec<i64>,
    pub(super) constant_ahead: i64,
    pub(super) constant_at_last: i64,
    pub(super) ahead: Vec<i64>,
    pub(super) at_last: Vec<i64>,
    /// By phase and class.
    pub(super) weights: [Vec<Vec<i64>>; 2],
}

pub(super) struct Model {
    pub(super) alone: Vec<Step>,
    pub(super) referenced: Option<Vec<Step>>,
    /// Of each context.
    pub(super) frequencies: Vec<[i64; 32]>,
}

impl Model {
    /// `None` where SPEC 9.3 refuses it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let (version, references) = (bytes.number(1)?, bytes.number(1)?);
        if version != 3 || references > 1 {
            return None;
        }
        let steps = |bytes: &mut Bytes<'_>, reference| {
            (0..6).map(|step| Step::read(bytes, step % 2 == 1, reference)).collect::<Option<Vec<_>>>()
        };
        let alone = steps(&mut bytes, false)?;
        let referenced = if references == 1 { Some(steps(&mut bytes, true)?) } else { None };
        let frequencies = (0..361).map(|context| frequencies(context, &mut bytes)).collect::<Option<_>>()?;
        bytes.0.is_empty().then_some(Self { alone, referenced, frequencies })
    }
}

impl Step {
    fn read(bytes: &mut Bytes<'_>, axial: bool, reference: bool) -> Option<Self> {
        let limits = bytes.number(1)?;
        if limits > 7 {
            return None;
        }
        let windows = if axial { 10 } else { 6 } + if reference { 6 } else { 0 };
        let limits = (0..limits)
            .map(|_| bytes.number(4).filter(|limit| *limit < 1 << 31))
            .collect::<Option<Vec<_>>>()?;
        if limits.windows(2).any(|pair| pair[0] >= pair[1]) {
            return None;
        }
        let mut constant = || bytes.number(4).filter(|constant| *constant <= 56_000);
        let (constant_ahead, constant_at_last) = (constant()?, constant()?);
        let mut factors = |count| {
            (0..count).map(|_| bytes.number(2).filter(|factor| *factor <= 7000)).collect::<Option<Vec<_>>>()
        };
        let (ahead, at_last) = (factors(7)?, factors(9)?);
        let classes = 3 * (limits.len() + 1);
        let mut weights = |count: usize| {
            let class =
                |bytes: &mut Bytes<'_>| (0..count).map(|_| bytes.signed()).collect::<Option<Vec<_>>>();
            (0..classes).map(|_| class(bytes)).collect::<Option<Vec<_>>>()
        };
        let weights = [weights(4 * windows + 1)?, weights(4 * windows + 3)?];
        Some(Self { limits, constant_ahead, constant_at_last, ahead, at_last, weights })
    }
}

const RATIO: [i64; 20] = [
    1290, 1624, 2046, 2576, 3243, 4080, 5129, 6439, 8068, 10077, 12529, 15471, 18922, 22847, 27146, 31654,
    36171, 40503, 44500, 48068,
];

/// SPEC 3.3.
fn frequencies(context: usize, bytes: &mut Bytes<'_>) -> Option<[i64; 32]> {
    match bytes.number(1)? {
        0 => {
            let size = if context >= 144 { 7 + 2 * ((context - 144) % 7) } else { context / 3 };
            let ratio = RATIO[if size <= 19 { size } else { 17 + (size - 20) % 3 }];
            let (mut frequencies, mut g) = ([16; 32], 65_536);
            for d in 0..=15 {
                frequencies[15 - d] = 16 + g;
                frequencies[15 + d] = 16 + g;
                g = (g * ratio) >> 16;
            }
            Some(frequencies)
        }
        1 => {
            let mut frequencies = [0; 32];
            for frequency in &mut frequencies {
                let code = bytes.number(1).filter(|code| *code <= 24)?;
                *frequency = match code {
                    0 => 0,
                    _ if code % 2 == 1 => 2 << ((code - 1) >> 1),
                    _ => ((2 << ((code - 1) >> 1)) * 181) >> 7,
                };
            }
            Some(frequencies)
        }
        _ => None,
    }
}

struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    /// Little endian.
    fn number(&mut self, bytes: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(number.iter().rev().fold(0, |number, byte| number << 8 | i64::from(*byte)))
    }

    fn signed(&mut self) -> Option<i64> {
        self.number(2).map(|number| if number < 1 << 15 { number } else { number - (1 << 16) })
    }
}
