//! The passphrase of a link, stretched into a key (SPEC 10).

use crate::question::{Refused, answered};
use argon2::{Algorithm, Argon2, Params, Version};
use seal::link::{Argon2Cost, SALT_BYTES};

const KEY_BYTES: usize = 32;

/// Argon2id (RFC 9106) of the input, a salt of 16 bytes and the passphrase, into 32 bytes. The memory is not given back: an instance of its own
/// computes it. As [`scanpost_ask`](crate::question::scanpost_ask).
#[unsafe(no_mangle)]
pub extern "C" fn scanpost_argon2id(memory_kib: u32, iterations: u32, lanes: u32) -> i32 {
    answered(|input| stretch(input, memory_kib, iterations, lanes))
}

fn stretch(input: &[u8], memory_kib: u32, iterations: u32, lanes: u32) -> Result<Vec<u8>, Refused> {
    let (salt, passphrase) = input.split_first_chunk::<SALT_BYTES>().ok_or_else(Refused::question)?;
    let cost = Argon2Cost { memory_kib, iterations, lanes: u8::try_from(lanes).unwrap_or_default() };
    if !cost.is_sound() {
        return Err(Refused::damaged("the link asks for more computing than a phone does"));
    }
    let parameters = Params::new(memory_kib, iterations, lanes, Some(KEY_BYTES));
    let parameters = parameters.map_err(|_| Refused::question())?;
    let mut key = vec![0; KEY_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(passphrase, salt, &mut key)
        .map_err(|_| Refused::question())?;
    Ok(key)
}
