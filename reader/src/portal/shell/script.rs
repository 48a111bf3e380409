//! Scripts without their comments: a third of what a phone would fetch of them. Lines stay where they are, so what runs can be read beside its source.

/// Leaves lines out that hold a comment alone, and are no part of a literal between two `: ours have none of these within other literals, or in a comment behind code.
pub(super) fn without_comments(source: &str) -> String {
    let mut script = String::with_capacity(source.len());
    let (mut in_comment, mut in_literal) = (false, false);
    for line in source.lines() {
        let words = line.trim();
        let kept = if in_literal {
            line
        } else if in_comment {
            match words.split_once("*/") {
                Some((_, rest)) => {
                    in_comment = false;
                    rest
                }
                None => "",
            }
        } else if words.starts_with("/*") && !words.contains("*/") {
            in_comment = true;
            ""
        } else if words.starts_with("//")
            || words.starts_with("/*") && words.find("*/") == Some(words.len() - 2)
        {
            ""
        } else {
            line
        };
        in_literal ^= kept.matches('`').count() % 2 == 1;
        script.push_str(kept);
        script.push('\n');
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_in_its_line() {
        let source = "// First.\nconst a = 1; // one\n/** @type {number} */\nlet b;\n/** @type {number} */ let c;\n\n  /**\n   * Long.\n   */ f();\n  g();";
        let script = "\nconst a = 1; // one\n\nlet b;\n/** @type {number} */ let c;\n\n\n\n f();\n  g();\n";
        assert_eq!(without_comments(source), script);
        let literal = "const a = `\n// kept\n`;\n// gone\n";
        assert_eq!(without_comments(literal), "const a = `\n// kept\n`;\n\n");
    }
}
