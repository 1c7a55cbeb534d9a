use std::os::unix::fs::symlink;

use super::*;

fn names(path: &Path, given: Option<&str>, several: bool) -> Vec<String> {
    let sources = sources(path, given, several, &Report::silent()).unwrap();
    sources.into_iter().map(|source| source.name).collect()
}

#[test]
fn a_folder_gives_names_with_slashes_in_order_without_its_links() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("photos");
    fs::create_dir_all(folder.join("2024")).unwrap();
    fs::write(folder.join("b.png"), "b").unwrap();
    fs::write(folder.join("2024").join("a.png"), "a").unwrap();
    symlink(folder.join("b.png"), folder.join("link.png")).unwrap();
    symlink(&folder, folder.join("loop")).unwrap();
    assert_eq!(names(&folder, None, false), ["photos/2024/a.png", "photos/b.png"]);
    assert_eq!(names(&folder, Some("x/y"), false), ["x/y/2024/a.png", "x/y/b.png"]);
    assert_eq!(names(&folder, Some("x/"), true), ["x/photos/2024/a.png", "x/photos/b.png"]);
    assert_eq!(names(&folder.join("2024").join(".."), None, false)[0], "photos/2024/a.png");
}

#[test]
fn a_file_is_named_after_itself_or_as_given() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("a.txt");
    fs::write(&file, "a").unwrap();
    assert_eq!(names(&file, None, false), ["a.txt"]);
    assert_eq!(names(&file, Some("b/c.txt"), false), ["b/c.txt"]);
    assert_eq!(names(&file, Some("b"), true), ["b/a.txt"]);
}

#[test]
fn the_type_is_guessed_from_the_name() {
    assert_eq!(guess_type("a/b.PNG").as_deref(), Some("image/png"));
    assert_eq!(guess_type("README"), None);
}
