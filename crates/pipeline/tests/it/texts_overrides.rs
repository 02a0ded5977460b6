//! A user's own templates: they take the place of the built-in ones, and one that cannot work is refused at start.

use std::{fs, path::Path};

use pipeline::texts::Texts;

use crate::texts_world::{ALICE, ME, World, bells, erc20, erc721};

/// A folder of templates, given as (path, text).
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn refused(files: &[(&str, &str)]) -> String {
    let dir = folder(files);
    let error = Texts::new(Some(dir.path())).unwrap_err().to_string();
    error.replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn a_users_file_takes_the_place_of_the_built_in_one() {
    let dir = folder(&[
        ("en/erc20_transfer.txt", "Ding! {{ count }}\r\n{{ tokens[0].total | amount(tokens[0]) }}\r\n"),
        ("en/README.md", "not a template {{"),
        ("en/.erc20_transfer.txt.swp", "{{"),
    ]);
    let texts = Texts::new(Some(dir.path())).unwrap();
    let world = World::watching_me("en");
    let text = world.render_by(&texts, &[erc20(0, ALICE, ME, bells(1, 5))]).unwrap();
    assert_eq!((text.title.as_str(), text.body.as_str()), ("Ding! 1", "1.5 BELL"));
    let other = world.render_by(&texts, &[erc721(0, ALICE, ME, 7)]).unwrap();
    assert_eq!(other.title, "BELL #7 received from 0x3C44…93BC");
    let russian = World::watching_me("ru").render_by(&texts, &[erc20(0, ALICE, ME, bells(1, 5))]).unwrap();
    assert_eq!(russian.title, "Получено 1,5 BELL от 0x3C44…93BC");
}

#[test]
fn the_shared_lines_can_be_replaced_alone() {
    let dir = folder(&[("en/shared.txt", "told by {{ watch }}\n")]);
    let texts = Texts::new(Some(dir.path())).unwrap();
    let text = World::watching_me("en").render_by(&texts, &[erc721(0, ALICE, ME, 7)]).unwrap();
    assert!(text.body.ends_with("Collection: Bell Token\ntold by bells"), "{}", text.body);
}

#[test]
fn a_new_locale_has_its_own_numbers_and_falls_back_kind_by_kind() {
    let dir = folder(&[("de_AT/erc20_transfer.txt", "{{ tokens[0].total | amount(tokens[0]) }} erhalten")]);
    let texts = Texts::new(Some(dir.path())).unwrap();
    let world = World::watching_me("de-AT");
    let text = world.render_by(&texts, &[erc20(0, ALICE, ME, bells(12345, 5))]).unwrap();
    assert!(text.title.ends_with("345,5 BELL erhalten"), "{}", text.title);
    let text = world.render_by(&texts, &[erc721(0, ALICE, ME, 7)]).unwrap();
    assert_eq!(text.title, "BELL #7 received from 0x3C44…93BC");
}

#[test]
fn a_broken_template_is_refused_with_its_file_and_line() {
    let file = "en/erc20_transfer.txt";
    for (text, expected) in [
        ("title\n{% if %}", "template DIR/en/erc20_transfer.txt: line 2: syntax error"),
        (
            "title\n\n{{ cuont }}",
            "template DIR/en/erc20_transfer.txt: line 3: there is no 'cuont'; there are ",
        ),
        ("title\n{{ contract.nmae }}", "template DIR/en/erc20_transfer.txt: line 2: undefined value"),
        ("title\n{{ count | plurral }}", "template DIR/en/erc20_transfer.txt: line 2: unknown filter"),
        (
            "title\n{{ count | plural(one='a') }}",
            "template DIR/en/erc20_transfer.txt: line 2: invalid operation: plural needs at least the form 'other'",
        ),
        ("{# nothing #}", "template DIR/en/erc20_transfer.txt: line 1: nothing is rendered"),
        ("title\n{% include 'tail.txt' %}", "template DIR/en/erc20_transfer.txt: line 2: template not found"),
        (
            "title\n{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
            "template DIR/en/erc20_transfer.txt: line 2: engine ran out of fuel",
        ),
    ] {
        let error = refused(&[(file, text)]);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn a_name_that_only_many_events_reach_is_found_at_start() {
    let template = "{% if transfer %}one{% else %}many\n{{ tokens[0].symbool }}{% endif %}";
    let error = refused(&[("ru/erc20_transfer.txt", template)]);
    assert!(error.starts_with("template DIR/ru/erc20_transfer.txt: line 2: undefined value"), "{error}");
}

#[test]
fn a_correction_that_only_some_kinds_could_fill_is_found_at_start() {
    for (file, text, expected) in [
        ("en/corrected.txt", "again\n{{ now.facts.tokens[0].symbol }}", "line 2: undefined value"),
        ("ru/retracted.txt", "gone\n\n{{ before.fact }}", "line 3: undefined value"),
        (
            "en/retracted.txt",
            "{% if before.count > 20 %}{{ before.count | plural(one='a') }}{% endif %}gone",
            "line 1",
        ),
        (
            "en/corrected.txt",
            "{% if now.count == 1 and before.count > 1 %}{% else %}again{% endif %}",
            "line 1: nothing is",
        ),
        ("en/retracted.txt", "gone {{ now.count }}", "line 1: there is no 'now'"),
    ] {
        let error = refused(&[(file, text)]);
        assert!(error.starts_with(&format!("template DIR/{file}: {expected}")), "{text}: {error}");
    }
    let guarded = "again\n{% if kind == 'erc20_transfer' %}{{ now.facts.tokens[0].symbol }}{% endif %}";
    let dir = folder(&[("en/corrected.txt", guarded)]);
    Texts::new(Some(dir.path())).unwrap();
}

#[test]
fn an_error_in_the_shared_lines_names_the_shared_file() {
    let error = refused(&[("ru/shared.txt", "a\nb\n{{ chain | datetime }}")]);
    assert!(error.starts_with("template DIR/ru/shared.txt: line 3: "), "{error}");
}

#[test]
fn a_file_that_nothing_would_use_is_refused() {
    let error = refused(&[("en/erc20.txt", "hello")]);
    assert_eq!(
        error,
        "template DIR/en/erc20.txt: no notification uses a file of this name; there are erc20_transfer.txt, \
         erc721_transfer.txt, erc1155_transfer.txt, approval.txt, swap.txt, liquidity.txt, contract_event.txt, shared.txt, corrected.txt, retracted.txt"
    );
    let error = refused(&[("english!/erc20_transfer.txt", "hello")]);
    assert_eq!(error, "template DIR/english!: the folder's name is no locale; call it 'en' or 'pt-BR'");
    let error = Texts::new(Some(Path::new("/no/such/folder"))).unwrap_err().to_string();
    assert!(error.starts_with("template /no/such/folder: it cannot be read: "), "{error}");
}

#[test]
fn a_text_without_end_is_cut() {
    let endless = "{% for i in range(9000) %}{{ 'я' * 20 }}{% endfor %}\n{% for i in range(3000) %}{{ 'я' * 20 }}{% endfor %}";
    let dir = folder(&[("en/erc20_transfer.txt", endless)]);
    let texts = Texts::new(Some(dir.path())).unwrap();
    let text = World::watching_me("en").render_by(&texts, &[erc20(0, ALICE, ME, bells(1, 0))]).unwrap();
    assert_eq!(text.title.chars().count(), 300);
    assert!(text.title.ends_with('…'));
    let long = "title\n{% for i in range(9000) %}{{ 'я' * 20 }}{% endfor %}";
    let dir = folder(&[("en/erc20_transfer.txt", long)]);
    let texts = Texts::new(Some(dir.path())).unwrap();
    let text = World::watching_me("en").render_by(&texts, &[erc20(0, ALICE, ME, bells(1, 0))]).unwrap();
    assert_eq!(text.title, "title");
    assert!(text.body.len() <= 64 * 1024 && text.body.ends_with("я…"));
}
