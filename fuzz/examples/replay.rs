//! Runs inputs of one target again: `replay TARGET FILE...`. Prints what one took, or which of many take too long; fails where the quickest of three tries is over time.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((target, files)) = arguments.split_first() else { return ExitCode::FAILURE };
    let mut code = ExitCode::SUCCESS;
    fuzz::prepare();
    for file in files {
        let Ok(input) = std::fs::read(file) else { return ExitCode::FAILURE };
        let taken =
            (0..3).map(|_| fuzz::execute(target, &input)).min_by_key(|taken| taken.time).unwrap_or_default();
        if taken.time > fuzz::TIME_MAX || files.len() == 1 {
            println!("{file}: {} bytes held, {:?}", taken.bytes, taken.time);
        }
        if taken.time > fuzz::TIME_MAX {
            code = ExitCode::FAILURE;
        }
    }
    code
}
