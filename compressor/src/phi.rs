//! Patient data in a wrapper that does not let it out by accident (DESIGN 7).

use zeroize::Zeroize;

/// What a value that tells of a patient is taken out for. There is no way without naming one, so a search for `expose_for` lists every place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Into the manifest, which is sealed like everything else.
    Seal,
    /// To the doctor who asked for it, on a screen.
    Show,
    /// Into the hospital's own audit trail (PS3.15 A.5), which never goes where logs go.
    Audit,
    /// Into the hospital's own journal, encrypted where the spool is.
    Keep,
    /// To find out what part of the body an image shows.
    Near,
    /// To see whether two are the same.
    Compare,
}

/// A value that tells of a patient: a name, an id, a birth date, an accession number, a description.
///
/// It can be moved, cloned, compared and exposed for a [`Purpose`]; it has neither `Display` nor `Debug` nor `Serialize`, so that it fits into no log
/// line, error text, metric, notice or JSON. What it held is overwritten when it is dropped.
///
/// Each of these does not compile; the same line with [`Phi::expose_for`] does.
///
/// ```compile_fail,E0277
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// format!("{name}");
/// ```
/// ```compile_fail,E0277
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// format!("{name:?}");
/// ```
/// ```compile_fail,E0277
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// serde_json::to_string(&name);
/// ```
/// ```compile_fail,E0277
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// String::from(name);
/// ```
/// ```compile_fail,E0599
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// name.len();
/// ```
/// ```compile_fail,E0616
/// let name = compressor::Phi::new(String::from("Yamada^Tarou"));
/// name.value;
/// ```
/// ```
/// use compressor::{Phi, Purpose};
/// let name = Phi::new(String::from("Yamada^Tarou"));
/// format!("{}", name.expose_for(Purpose::Show));
/// format!("{:?}", name.expose_for(Purpose::Show));
/// serde_json::to_string(name.expose_for(Purpose::Show)).unwrap();
/// String::from(name.expose_for(Purpose::Show));
/// name.expose_for(Purpose::Show).len();
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Phi<T: Zeroize> {
    value: T,
}

impl<T: Zeroize> Phi<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self { value }
    }

    /// The value. The purpose is for the reader of the code, who has to find it right.
    pub const fn expose_for(&self, _purpose: Purpose) -> &T {
        &self.value
    }
}

impl<T: Zeroize> Drop for Phi<T> {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    struct Overwritten(Rc<Cell<bool>>);

    impl Zeroize for Overwritten {
        fn zeroize(&mut self) {
            self.0.set(true);
        }
    }

    #[test]
    fn it_is_overwritten_when_it_is_dropped_and_costs_no_room() {
        let overwritten = Rc::new(Cell::new(false));
        let value = Phi::new(Overwritten(overwritten.clone()));
        assert!(!overwritten.get());
        drop(value);
        assert!(overwritten.get());
        assert_eq!(size_of::<Phi<String>>(), size_of::<String>());
    }
}
