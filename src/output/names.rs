//! What results are called: like their images, made safe, and never like the results of another
//! image, be they of this run or of an earlier one.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use intake::{Address, on_one_line};
use serde::Deserialize;
use unicode_normalization::char::is_combining_mark;

use super::artefact::Kind;
use super::identity::{Identity, identities};

/// Longest name of a file, in bytes, where the file system does not say: of ext4, XFS, APFS and
/// NTFS.
const LONGEST_NAME: usize = 255;

/// Bytes that end the longest name of a result: a full stop and `json`.
const EXTENSION: usize = 5;

/// Stem of the results of an image that has no usable name of its own.
const NO_NAME: &str = "image";

/// Most that is read of a file to find out whose it is, in bytes: reports have some kilobytes, of
/// the largest images with the most objects some megabytes.
const LARGEST_REPORT: u64 = 256 << 20;

/// An image that results are of, as their report names it.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    address: &'a Address,
    /// Of its bytes, in hex; none when they are not read yet.
    sha256: Option<&'a str>,
}

impl<'a> Owner<'a> {
    /// The image at `address`. `sha256`: of its bytes, in hex, when they are known.
    pub fn new(address: &'a Address, sha256: Option<&'a str>) -> Self {
        Self { address, sha256 }
    }

    /// Whether an image of this source and sum is this one: the same bytes, or what is at the same
    /// place now. As long as the bytes are not known, one that was called the same may be.
    fn is(self, image: &Image) -> bool {
        let is_called_so = image.source == self.address.name();
        match self.sha256 {
            None => is_called_so,
            Some(sha256) => sha256 == image.sha256 || (is_called_so && self.names_one_place()),
        }
    }

    /// Whether nothing else is called the same elsewhere. `photo.jpg` is another file in another
    /// folder, and a report does not say in which one it was written.
    fn names_one_place(self) -> bool {
        match self.address {
            Address::File(path) => path.is_absolute() && path.to_str().is_some(),
            // The name leaves out who asks.
            Address::Http(remote) => {
                remote.target.username().is_empty() && remote.target.password().is_none()
            }
            Address::Ipfs(_) => true,
            Address::StandardInput | Address::Data(_) | Address::Unusable(_) => false,
        }
    }
}

/// The name of an image's results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Without extension.
    pub stem: String,
    /// Why it is not the image's own, for people; none when it is.
    pub reason: Option<String>,
    /// The ids of other images, of earlier runs, that have the names before it.
    pub namesakes: Vec<u64>,
}

/// The names of the results of one run.
#[derive(Debug)]
pub struct Names<'a> {
    directory: &'a Path,
    /// What will be written of each image.
    kinds: &'a [Kind],
    /// The files that the run reads.
    inputs: HashSet<Identity>,
    /// Longest stem, in bytes.
    longest: usize,
    /// What the images of this run have, in lower case, since some file systems ignore case: whose.
    taken: HashMap<String, String>,
}

impl<'a> Names<'a> {
    /// Names for files of these `kinds` in `directory`, of a run that reads `images`.
    pub fn new(directory: &'a Path, kinds: &'a [Kind], images: &[Address]) -> Self {
        let says = rustix::fs::statvfs(directory).map(|system| system.f_namemax as usize);
        let longest = says.map_or(LONGEST_NAME, |longest| longest.clamp(32, LONGEST_NAME));
        Self {
            directory,
            kinds,
            inputs: identities(images),
            longest: longest - EXTENSION,
            taken: HashMap::new(),
        }
    }

    /// The name of this image's results: its own, [`stem`], or with the first number that makes it
    /// nobody else's. The same image again gets what it had in an earlier run.
    pub fn take(&mut self, owner: Owner) -> Name {
        self.first_free(owner, |_| false)
    }

    /// The name that `planned` turned out to be, now that the image is read and the directory
    /// locked: another, when it is somebody else's after all. `planned` itself is known to be no
    /// input of the run.
    pub fn settle(&mut self, planned: Name, owner: Owner) -> Name {
        self.taken.remove(&planned.stem.to_lowercase());
        self.first_free(owner, |stem| stem != planned.stem)
    }

    /// The first name that nobody else has. `spares_inputs`: whether an input of this run has the
    /// names that it has in the directory; else that is an error of its own.
    fn first_free(&mut self, owner: Owner, spares_inputs: impl Fn(&str) -> bool) -> Name {
        let mut name = Name {
            stem: String::new(),
            reason: None,
            namesakes: Vec::new(),
        };
        for stem in numbered(&stem(owner.address), self.longest) {
            match self.holder(&stem, owner, spares_inputs(&stem)) {
                None => {
                    let shown = owner.address.to_string();
                    self.taken.insert(stem.to_lowercase(), shown);
                    name.stem = stem;
                    break;
                }
                Some(holder) => {
                    name.reason = name.reason.or(Some(holder.reason));
                    name.namesakes.extend(holder.id);
                }
            }
        }
        name
    }

    /// Whose results are called `stem`, when it is somebody else than `owner`.
    fn holder(&self, stem: &str, owner: Owner, spares_inputs: bool) -> Option<Holder> {
        let path = |kind: Kind| self.directory.join(kind.file_name(stem));
        let report = path(Kind::Report);
        let holder = |reason: String| Some(Holder { reason, id: None });
        if let Some(whose) = self.taken.get(&stem.to_lowercase()) {
            return holder(format!("`{}` is of {whose}", report.display()));
        }
        // A directory of this name is an error of its own; a link is replaced, and what it leads to
        // stays.
        let is_file = |path: &PathBuf| {
            let is_input =
                |data: &Metadata| !spares_inputs && self.inputs.contains(&Identity::of(data));
            fs::symlink_metadata(path).is_ok_and(|data| data.is_file() && !is_input(&data))
        };
        if is_file(&report) {
            return match Image::of_report(&report) {
                Some(image) if owner.is(&image) => None,
                Some(image) => Some(image.holds(&report, owner)),
                None => holder(format!("`{}` is not of this image", report.display())),
            };
        }
        let lone = self.kinds.iter().map(|&kind| path(kind)).find(is_file);
        lone.and_then(|path| holder(format!("`{}` is there already", path.display())))
    }
}

/// Somebody else who has a name.
struct Holder {
    /// Who, for people.
    reason: String,
    /// The id of their image; none when it is of this run, or no report says.
    id: Option<u64>,
}

/// What a report says of its image.
#[derive(Debug, Deserialize)]
struct Image {
    source: String,
    sha256: String,
    id: Option<u64>,
}

impl Image {
    /// That the report at `path` is of this image, and not of `owner`.
    fn holds(self, path: &Path, owner: Owner) -> Holder {
        // The name comes out of a file. Of an address it is what may be shown already.
        let source = match &*self.source {
            "-" => "standard input".to_owned(),
            source if source == owner.address.name() => format!("another {}", on_one_line(source)),
            source => on_one_line(source),
        };
        Holder {
            reason: format!("`{}` is of {source}", path.display()),
            id: self.id,
        }
    }

    /// The image of the report at `path`; none when that is no report.
    fn of_report(path: &Path) -> Option<Self> {
        #[derive(Deserialize)]
        struct Report {
            schema: String,
            image: Image,
        }
        let file = BufReader::new(File::open(path).ok()?.take(LARGEST_REPORT));
        let report: Report = serde_json::from_reader(file).ok()?;
        let is_ours = report.schema.starts_with("urn:maskrcnn:detections:");
        is_ours.then_some(report.image)
    }
}

/// The stem of the results of the image at `address`: a name that no shell, file system or task
/// trips over. Letters, digits and combining marks of any script, `-`, `_` and `.` stay, each run of
/// anything else becomes one `_`, and punctuation at either end goes. `image` when nothing is left.
pub fn stem(address: &Address) -> String {
    if *address == Address::StandardInput {
        return "stdin".to_owned();
    }
    let name = match address {
        // A name that is no text keeps what of it is.
        Address::File(path) => path.file_name().unwrap_or_default().to_owned(),
        other => other.file_name().into(),
    };
    let name = Path::new(&name).file_stem().unwrap_or_default();
    let mut stem = String::new();
    for character in name.to_string_lossy().chars() {
        let is_letter = character.is_alphanumeric() || is_combining_mark(character);
        if is_letter || "-_.".contains(character) {
            stem.push(character);
        } else if !stem.ends_with('_') {
            stem.push('_');
        }
    }
    let stem = stem.trim_matches(['-', '_', '.']);
    if stem.is_empty() {
        NO_NAME.to_owned()
    } else {
        stem.to_owned()
    }
}

/// `stem`, and with -2, -3, … behind it, each of at most `longest` bytes.
fn numbered(stem: &str, longest: usize) -> impl Iterator<Item = String> {
    let with_number = move |number: usize| {
        let suffix = format!("-{number}");
        format!("{}{suffix}", cut(stem, longest - suffix.len()))
    };
    std::iter::once(cut(stem, longest).to_owned()).chain((2..).map(with_number))
}

/// The first characters of `text` that fit into `longest` bytes, with the marks that belong to them
/// and without punctuation at their end.
fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.floor_char_boundary(longest);
    // A mark that does not fit takes its letter along.
    while text[end..].starts_with(is_combining_mark)
        && let Some(last) = text[..end].chars().next_back()
    {
        end -= last.len_utf8();
    }
    match text[..end].trim_end_matches(['-', '_', '.']) {
        // Nothing but marks.
        "" => NO_NAME,
        fitting => fitting,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn address(name: &str) -> Address {
        Address::new(OsStr::new(name))
    }

    const KINDS: [Kind; 2] = [Kind::Picture, Kind::Report];

    fn names(images: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut names = Names::new(folder.path(), &KINDS, &[]);
        let take = |name: &&str| names.take(Owner::new(&address(name), None)).stem;
        images.iter().map(take).collect()
    }

    #[test]
    fn a_hostile_name_becomes_a_safe_one() {
        for (name, stem) in [
            ("photo.jpg", "photo"),
            ("a/b/photo.tar.jpg", "photo.tar"),
            ("My Photo (1).jpeg", "My_Photo_1"),
            ("-rf.png", "rf"),
            (".hidden.png", "hidden"),
            (".jpg", "jpg"),
            ("..", "image"),
            ("/", "image"),
            ("...png", "image"),
            ("noextension", "noextension"),
            ("line\nbreak\u{1b}[31m.png", "line_break_31m"),
            ("a\\b:c*d?.png", "a_b_c_d"),
            ("été à la plage.png", "été_à_la_plage"),
            ("写真.webp", "写真"),
            ("🐕.png", "image"),
            ("-", "stdin"),
            (
                "https://user:secret@example.org/a/My%20Photo.jpg?size=large.png#x",
                "My_Photo",
            ),
            (
                "https://example.org/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                "passwd",
            ),
            ("https://example.org/", "image"),
            ("data:image/png;base64,iVBORw0KGgo/a.png", "image"),
            (
                "ipfs://QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o/dogs/rex.jpg",
                "rex",
            ),
            ("ipfs://QmT78zSuBmuS4z925W", "QmT78zSuBmuS4z925W"),
        ] {
            assert_eq!(names(&[name]), [stem], "{name}");
        }
    }

    #[test]
    fn a_name_that_is_no_text_becomes_a_safe_one() {
        use std::os::unix::ffi::OsStrExt;
        let name = OsStr::from_bytes(b"pho\xffto.jpg");
        assert_eq!(stem(&Address::new(name)), "pho_to");
    }

    #[test]
    fn combining_marks_stay_with_their_letters() {
        for (name, stem) in [
            ("cafe\u{301}.jpg", "cafe\u{301}"),
            ("हिन्दी चित्र.png", "हिन्दी_चित्र"),
            ("สวัสดี.webp", "สวัสดี"),
        ] {
            assert_eq!(names(&[name]), [stem]);
        }
        assert_eq!(cut("ne\u{301}", 3), "n");
        assert_eq!(cut("ne\u{301}", 4), "ne\u{301}");
        assert_eq!(cut("\u{301}\u{301}", 2), "image");
    }

    #[test]
    fn a_long_name_stays_whole_as_far_as_the_file_system_takes_it() {
        let screenshots = [
            "Screenshot 2024-05-01 at 10.23.45.png",
            "Screenshot 2024-05-01 at 10.47.02.png",
        ];
        let expected = [
            "Screenshot_2024-05-01_at_10.23.45",
            "Screenshot_2024-05-01_at_10.47.02",
        ];
        assert_eq!(names(&screenshots), expected);
        for name in ["x".repeat(400), "写真".repeat(99), "é".repeat(300)] {
            let name = format!("{name}.png");
            let mut found = names(&[&*name; 12]);
            for stem in &found {
                let file = format!("{stem}.json");
                assert!((250..=255).contains(&file.len()), "{}", file.len());
                assert!(!file.contains(char::REPLACEMENT_CHARACTER), "{file}");
            }
            found.sort();
            found.dedup();
            assert_eq!(found.len(), 12);
        }
    }

    #[test]
    fn images_of_the_same_name_get_numbers_in_their_order() {
        assert_eq!(
            names(&["a/photo.jpg", "b/photo.png", "photo.gif"]),
            ["photo", "photo-2", "photo-3"]
        );
        assert_eq!(names(&["photo.jpg", "PHOTO.JPG"]), ["photo", "PHOTO-2"]);
        assert_eq!(
            names(&["photo.jpg", "photo.png", "photo-2.jpg"]),
            ["photo", "photo-2", "photo-2-2"]
        );
        assert_eq!(names(&["-", "stdin.png"]), ["stdin", "stdin-2"]);
    }

    /// Writes the report of an image, and its picture.
    fn leave(folder: &Path, stem: &str, source: &str, sha256: &str) {
        let report = serde_json::json!({
            "schema": "urn:maskrcnn:detections:1",
            "image": {"source": source, "sha256": sha256, "id": 7, "width": 1, "height": 1},
            "detections": [],
        });
        fs::write(folder.join(format!("{stem}.json")), report.to_string()).unwrap();
        fs::write(folder.join(format!("{stem}.png")), "picture").unwrap();
    }

    #[test]
    fn earlier_results_are_replaced_by_their_own_image_only() {
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), "photo", "a/photo.jpg", "5a");
        let take = |name: &str, sha256: Option<&str>| {
            let mut names = Names::new(folder.path(), &KINDS, &[]);
            names.take(Owner::new(&address(name), sha256))
        };
        let own = take("a/photo.jpg", None);
        assert_eq!((&*own.stem, own.reason), ("photo", None));
        // The same bytes under another spelling, or a copy.
        assert_eq!(take("./a/photo.jpg", Some("5a")).stem, "photo");
        assert_eq!(take("/home/photo.jpg", Some("5a")).stem, "photo");
        // Another photo of the same name in another folder, or the photo after it was edited: which
        // of the two cannot be told, and results that are numbered are not lost.
        let another = take("a/photo.jpg", Some("6b"));
        assert_eq!(another.stem, "photo-2");
        let reason = another.reason.unwrap();
        assert!(
            reason.ends_with("photo.json` is of another a/photo.jpg"),
            "{reason}"
        );
        let other = take("b/photo.jpg", None);
        let report = folder.path().join("photo.json");
        let reason = format!("`{}` is of a/photo.jpg", report.display());
        assert_eq!((&*other.stem, other.reason), ("photo-2", Some(reason)));
        leave(folder.path(), "photo-2", "b/photo.jpg", "7c");
        assert_eq!(take("b/photo.jpg", None).stem, "photo-2");
        assert_eq!(take("c/photo.jpg", None).stem, "photo-3");
    }

    #[test]
    fn what_is_at_one_place_replaces_what_was_there() {
        for (source, is_the_same) in [
            ("/photos/today.jpg", true),
            ("https://example.org/today.jpg", true),
            ("today.jpg", false),
            ("../today.jpg", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            leave(folder.path(), "today", source, "5a");
            let mut names = Names::new(folder.path(), &KINDS, &[]);
            let found = names.take(Owner::new(&address(source), Some("6b"))).stem;
            assert_eq!(found == "today", is_the_same, "{source}");
        }
        // Who asks is not in the source.
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), "a", "https://example.org/a.jpg", "5a");
        let mut names = Names::new(folder.path(), &KINDS, &[]);
        let mine = address("https://me@example.org/a.jpg");
        assert_eq!(names.take(Owner::new(&mine, Some("6b"))).stem, "a-2");
    }

    #[test]
    fn names_that_are_no_text_are_not_confused() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let [first, second] =
            [&b"/p\xff.jpg"[..], b"/p\xfe.jpg"].map(|name| Address::new(OsStr::from_bytes(name)));
        leave(folder.path(), "p", &first.name(), "5a");
        let mut names = Names::new(folder.path(), &KINDS, &[]);
        assert_eq!(names.take(Owner::new(&second, Some("6b"))).stem, "p-2");
    }

    #[test]
    fn the_ids_of_namesakes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), "photo", "a/photo.jpg", "5a");
        let mut names = Names::new(folder.path(), &KINDS, &[]);
        let photo = address("b/photo.jpg");
        let planned = names.take(Owner::new(&photo, None));
        let settled = names.settle(planned, Owner::new(&photo, Some("6b")));
        assert_eq!((&*settled.stem, &*settled.namesakes), ("photo-2", &[7][..]));
    }

    #[test]
    fn a_name_found_late_is_never_that_of_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let input = Address::File(folder.path().join("photo-2.png"));
        fs::write(input.path().unwrap(), "an input").unwrap();
        leave(folder.path(), "photo", "photo.jpg", "5a");
        let mut names = Names::new(folder.path(), &KINDS, std::slice::from_ref(&input));
        let photo = address("photo.jpg");
        let planned = names.take(Owner::new(&photo, None));
        assert_eq!(planned.stem, "photo");
        let settled = names.settle(planned, Owner::new(&photo, Some("6b")));
        assert_eq!(settled.stem, "photo-3");
    }

    #[test]
    fn what_has_no_name_is_told_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), "stdin", "-", "5a");
        let stdin = address("-");
        let mut names = Names::new(folder.path(), &KINDS, &[]);
        let planned = names.take(Owner::new(&stdin, None));
        assert_eq!(planned.stem, "stdin");
        let same = names.settle(planned, Owner::new(&stdin, Some("5a")));
        assert_eq!(same.stem, "stdin");
        let other = names.settle(same, Owner::new(&stdin, Some("6b")));
        assert_eq!(other.stem, "stdin-2");
        assert!(
            other
                .reason
                .unwrap()
                .ends_with("stdin.json` is of standard input")
        );
    }

    #[test]
    fn files_that_are_no_results_are_nobodys_to_replace() {
        let folder = tempfile::tempdir().unwrap();
        let take = |kinds: &[Kind]| {
            let mut names = Names::new(folder.path(), kinds, &[]);
            names.take(Owner::new(&address("photo.jpg"), None)).stem
        };
        fs::write(folder.path().join("photo.png"), "somebody's picture").unwrap();
        assert_eq!(take(&KINDS), "photo-2");
        // No picture is written.
        assert_eq!(take(&[Kind::Report]), "photo");
        fs::write(folder.path().join("photo-2.json"), r#"{"schema": 1}"#).unwrap();
        assert_eq!(take(&KINDS), "photo-3");
        // An input is left to who protects inputs.
        let input = Address::File(folder.path().join("photo.png"));
        let mut names = Names::new(folder.path(), &KINDS, std::slice::from_ref(&input));
        assert_eq!(names.take(Owner::new(&input, None)).stem, "photo");
    }

    #[test]
    fn a_name_that_somebody_took_meanwhile_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (address("a/photo.jpg"), address("b/photo-2.jpg"));
        let mut names = Names::new(folder.path(), &KINDS, &[]);
        let planned = names.take(Owner::new(&first, None));
        names.take(Owner::new(&second, None));
        leave(folder.path(), "photo", "elsewhere/photo.jpg", "5a");
        let settled = names.settle(planned, Owner::new(&first, Some("6b")));
        // photo-2 is that of the other image of this run.
        assert_eq!(settled.stem, "photo-3");
    }
}
