//! Weights that have a name: fetched once from a mirror on this machine, checked, and kept.

use std::fs;

use crate::server::Server;
use crate::user::{FILE, NAME, User, content, first_byte, give, mirror, text};

#[test]
fn weights_are_listed_without_a_network_or_a_home() {
    let run = User::new()
        .command(&["weights"])
        .env_remove("XDG_CACHE_HOME")
        .env_remove("HOME")
        .output()
        .unwrap();
    let table = text(&run.stdout);
    for words in [
        "name                family             size  mask AP  licence       kept",
        "compact             compact           12 MB           MIT           yes",
        "maskrcnn-v1         torchvision-v1   178 MB     34.6  BSD-3-Clause  no",
        "maskrcnn-v2         torchvision-v2   186 MB     41.8  BSD-3-Clause  no",
        "matterport          matterport       258 MB           MIT           no",
        "detectron2-r50-3x   detectron2       178 MB     37.2  CC-BY-SA-3.0  no",
        "detectron2-r101-3x  detectron2      ~254 MB     38.6  CC-BY-SA-3.0  no",
        "detectron2-x101-3x  detectron2      ~431 MB     39.5  CC-BY-SA-3.0  no",
    ] {
        assert!(table.contains(words), "{words}\n{table}");
    }
}

#[test]
fn a_name_is_fetched_once_and_offline_ever_after() {
    let (user, server) = (User::new(), mirror(content()));
    let args = ["weights", "fetch", NAME, "--mirror", &server.url("/pub/")];
    user.succeeds(&args);
    let heads = server.heads();
    let path = "GET /pub/detectron2/COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x/138205316/";
    assert!(heads.len() == 1 && heads[0].starts_with(path), "{heads:?}");
    user.succeeds(&args);
    user.succeeds(&["-w", NAME, "--mirror", &server.url("/pub/"), "a.png"]);
    user.succeeds(&["-w", NAME, "a.png"]);
    assert_eq!(server.heads().len(), 1);
    let report = fs::read_to_string(user.0.path().join("out/a.json")).unwrap();
    assert!(report.contains(FILE), "{report}");
    assert!(
        user.succeeds(&["weights", "list"])
            .contains("CC-BY-SA-3.0  yes")
    );
}

#[test]
fn fetch_and_remove_say_what_they_did() {
    let (user, server) = (User::new(), mirror(content()));
    let fetch = |user: &User| {
        let mut command = user.command(&["weights", "fetch", NAME]);
        let run = command
            .env("MASKRCNN_MIRROR", server.url(""))
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
        text(&run.stdout)
    };
    let told = format!("{NAME}: {}\n", user.kept(FILE).display());
    assert_eq!(fetch(&user), told);
    assert_eq!(fetch(&user), told);
    assert_eq!(server.heads().len(), 1);
    let remove = || user.succeeds(&["weights", "remove", NAME]);
    assert_eq!(remove(), format!("{NAME}: removed\n"));
    assert_eq!(fs::read_dir(user.kept("")).unwrap().count(), 0);
    assert_eq!(remove(), format!("{NAME}: was not kept\n"));
    let embedded = user.succeeds(&["weights", "fetch", "compact"]);
    assert_eq!(embedded, "compact: part of the program\n");
}

#[test]
fn a_broken_download_is_gone_on_with() {
    let whole = content();
    let half = whole.len() / 2;
    let server = Server::new(move |before, head, connection| {
        // The first run asks twice, and the connection breaks both times.
        if before < 2 {
            let from = first_byte(head).unwrap_or(0);
            let to = half + before * 1000;
            let (last, all) = (whole.len() - 1, whole.len());
            let (status, range) = match from {
                0 => ("200 OK", String::new()),
                _ => (
                    "206 Partial Content",
                    format!("content-range: bytes {from}-{last}/{all}\r\n"),
                ),
            };
            let length = all - from;
            let head = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{range}\r\n"
            );
            connection.write_all(head.as_bytes()).unwrap();
            connection.write_all(&whole[from..to]).unwrap();
        } else {
            give(&whole, head, connection);
        }
    });
    let user = User::new();
    let args = ["weights", "fetch", NAME, "--mirror", &server.url("")];
    let error = user.fails(&args);
    assert!(
        error.contains(&format!("cannot fetch the weights {NAME}")),
        "{error}"
    );
    let partial = user.kept(&format!("{FILE}.partial"));
    assert_eq!(fs::metadata(&partial).unwrap().len() as usize, half + 1000);
    user.succeeds(&args);
    let asked: Vec<_> = server.heads().iter().map(|head| first_byte(head)).collect();
    assert_eq!(asked, [None, Some(half), Some(half + 1000)]);
    assert_eq!(fs::read(user.kept(FILE)).unwrap(), content());
    assert!(!partial.exists());
}

#[test]
fn a_beginning_of_something_else_is_thrown_away() {
    let user = User::new();
    // As long as what is published, and longer than what the server has.
    let server = mirror(b"no weights".to_vec());
    fs::create_dir_all(user.kept("")).unwrap();
    fs::write(user.kept("mask_rcnn_coco.h5.partial"), [7; 5000]).unwrap();
    let args = [
        "weights",
        "fetch",
        "matterport",
        "--mirror",
        &server.url(""),
    ];
    let error = user.fails(&args);
    let expected =
        "these are not the weights matterport: expected a size in bytes of 257557808, found 10";
    assert!(error.contains(expected), "{error}");
    assert_eq!(fs::read_dir(user.kept("")).unwrap().count(), 0);
}

#[test]
fn what_a_server_has_instead_is_never_kept() {
    let (user, server) = (User::new(), mirror(content()));
    let error = user.fails(&[
        "-v",
        "-w",
        "maskrcnn-v1",
        "--mirror",
        &server.url(""),
        "a.png",
    ]);
    assert!(
        error.contains("error[weights-checksum]: cannot load the weights maskrcnn-v1"),
        "{error}"
    );
    assert!(
        !user
            .kept("")
            .join("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth")
            .exists()
    );
    assert!(!user.0.path().join("out/a.json").exists());
}

#[test]
fn kept_weights_that_were_damaged_are_refused() {
    let (user, server) = (User::new(), mirror(content()));
    user.succeeds(&["weights", "fetch", NAME, "--mirror", &server.url("")]);
    let mut damaged = content();
    let end = damaged.len() - 1;
    damaged[end] ^= 1;
    fs::write(user.kept(FILE), damaged).unwrap();
    let error = user.fails(&["-w", NAME, "a.png"]);
    let remedy = format!("`maskrcnn weights remove {NAME}` removes what is kept of them");
    assert!(error.contains(&remedy), "{error}");
}

#[test]
fn two_processes_fetch_the_same_weights_once() {
    let whole = content();
    let server = Server::new(move |_, head, connection| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        give(&whole, head, connection);
    });
    let user = User::new();
    let url = server.url("");
    let start = || {
        user.command(&["weights", "fetch", NAME, "--mirror", &url])
            .spawn()
            .unwrap()
    };
    let processes = [start(), start(), start()];
    for process in processes {
        assert!(process.wait_with_output().unwrap().status.success());
    }
    assert_eq!(server.heads().len(), 1);
    assert_eq!(fs::read_dir(user.kept("")).unwrap().count(), 2);
}

#[test]
fn a_file_is_checked_against_the_digits_in_its_name() {
    let mut other = content();
    *other.last_mut().unwrap() ^= 1;
    let (user, server) = (User::new(), mirror(other));
    let error = user.fails(&["weights", "fetch", NAME, "--mirror", &server.url("")]);
    assert!(
        error.contains("expected an MD5 that begins with a3ec72, found "),
        "{error}"
    );
    assert!(!user.kept(FILE).exists());
}

#[test]
fn a_name_mistyped_gets_the_nearest() {
    let user = User::new();
    let error = user.fails(&["weights", "fetch", "maskrcnn-v3"]);
    let expected = "error: no weights are called `maskrcnn-v3`; did you mean `maskrcnn-v";
    assert!(error.starts_with(expected), "{error}");
    let error = user.fails(&["-w", "matterprot", "a.png"]);
    let expected = "cannot load the weights `matterprot`; did you mean those called `matterport`?";
    assert!(error.contains(expected), "{error}");
    let error = user.fails(&["-w", "holiday.pth", "a.png"]);
    assert!(!error.contains("did you mean"), "{error}");
}

#[test]
fn what_publishers_call_weights_gets_our_name() {
    let user = User::new();
    for (word, name) in [
        ("mask_rcnn_coco.h5", "matterport"),
        ("MATTERPORT", "matterport"),
        ("maskrcnn_resnet50_fpn_v2", "maskrcnn-v2"),
        ("Detectron2-R50-3x", "detectron2-r50-3x"),
        (
            "COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x.yaml",
            "detectron2-r101-3x",
        ),
        (
            "detectron2://COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl",
            "detectron2-r50-3x",
        ),
    ] {
        let error = user.fails(&["-w", word, "a.png"]);
        let expected =
            format!("error: cannot load the weights `{word}`; did you mean those called `{name}`?");
        assert!(error.starts_with(&expected), "{error}");
    }
    for args in [
        &["-w", "resnet", "a.png"][..],
        &["inspect", "resnet"],
        &["convert", "resnet", "new.safetensors"],
    ] {
        let error = user.fails(args);
        let expected = "error: cannot load the weights `resnet`; `maskrcnn weights` lists those \
                        that have a name: ";
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn files_that_have_names_of_the_program_are_reached() {
    let user = User::new();
    fs::write(user.0.path().join("matterport"), content()).unwrap();
    user.succeeds(&["-w", "./matterport", "a.png"]);
    fs::rename(user.0.path().join("a.png"), user.0.path().join("weights")).unwrap();
    let line = user.succeeds(&["./weights"]);
    assert!(line.starts_with("./weights: "), "{line}");
    // Behind an option, too, the main job has no other job's name in it.
    assert!(
        user.succeeds(&["-o", "out", "weights"])
            .starts_with("weights: ")
    );
}

#[test]
fn a_mirror_that_is_no_address_is_a_mistake() {
    let user = User::new();
    let mut command = user.command(&["-w", NAME, "a.png"]);
    let run = command
        .env("MASKRCNN_MIRROR", "mirror.example.org")
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        text(&run.stderr).contains("MASKRCNN_MIRROR is `mirror.example.org`; expected an http")
    );
}

#[test]
fn inspect_says_what_a_checkpoint_is() {
    let user = User::new();
    let text = user.succeeds(&["inspect", "compact"]);
    for line in [
        "family      compact\n",
        "backbone    EfficientNet-Lite0\n",
        "classes     20: person, bicycle, ",
        "sha256      1adae49425ee32868948198f04760951e1a7e565faa61da7cb56817b1222a90b\n",
        "found       the whole file\n",
        "\"score_thresh\": 0.05",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let blueprint = &text[text.find('{').unwrap()..];
    fs::write(user.0.path().join("blueprint.json"), blueprint).unwrap();
    user.succeeds(&["--blueprint", "blueprint.json", "a.png"]);
    let error = user.fails(&["inspect", "maskrcnn-v1"]);
    assert!(
        error.contains("`maskrcnn weights fetch maskrcnn-v1` fetches them"),
        "{error}"
    );
    let error = user.fails(&["inspect", "a.png"]);
    assert!(error.contains("cannot load the weights `a.png`"), "{error}");
}

#[test]
fn inspect_says_what_does_not_fit_and_what_would() {
    let user = User::new();
    user.succeeds(&["convert", "compact", "new.safetensors"]);
    let whole = fs::read(user.0.path().join("new.safetensors")).unwrap();
    // Words of the header for others of the same length.
    let rewritten = |words: &[(&str, &str)]| {
        let end = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let mut header = String::from_utf8(whole[8..end].to_vec()).unwrap();
        for (from, to) in words {
            assert!(header.contains(from) && from.len() == to.len(), "{from}");
            header = header.replace(from, to);
        }
        let bytes = [&whole[..8], header.as_bytes(), &whole[end..]].concat();
        fs::write(user.0.path().join("other.safetensors"), bytes).unwrap();
        let run = user.command(&["inspect", "other.safetensors"]).output();
        let run = run.unwrap();
        assert_eq!(run.status.code(), Some(1));
        (text(&run.stdout), text(&run.stderr))
    };
    let renamed = ("rpn.head.bbox_pred.", "rpn.tops.bbox_pred.");
    for words in [
        // One that says what it is, and one that does not.
        &[renamed][..],
        &[
            renamed,
            ("\"family\"", "\"Family\""),
            ("\"blueprint\"", "\"Blueprint\""),
        ],
    ] {
        let (lines, error) = rewritten(words);
        assert!(!error.is_empty());
        for line in [
            "nearest     compact, ",
            "missing     rpn.head.bbox_pred.bias [12]\n            rpn.head.bbox_pred.weight [12, 96, 1, 1]\n",
            "left over   rpn.tops.bbox_pred.bias [12]\n",
            "to fit      other names: `rpn.tops.bbox_pred.bias` as `rpn.head.bbox_pred.bias`, ",
        ] {
            assert!(lines.contains(line), "{line}\n{lines}");
        }
    }
    let (lines, error) = rewritten(&[(".mask_head.0.", ".mask_hand.0.")]);
    assert!(error.contains("is missing"), "{error}");
    assert!(
        lines.contains("to fit      other names: `roi_heads.mask_hand.0."),
        "{lines}"
    );
    let (lines, _) = rewritten(&[("[12,96,1,1]", "[96,12,1,1]")]);
    let shape =
        "other shape rpn.head.bbox_pred.weight: expected [12, 96, 1, 1], found [96, 12, 1, 1]\n";
    assert!(lines.contains(shape), "{lines}");
    assert!(lines.contains("to fit      a blueprint"), "{lines}");
}

#[test]
fn convert_writes_a_file_that_explains_itself() {
    let user = User::new();
    fs::write(
        user.0.path().join("labels.txt"),
        (1..21).map(|n| format!("thing {n}\n")).collect::<String>(),
    )
    .unwrap();
    let line = user.succeeds(&[
        "convert",
        "compact",
        "new.safetensors",
        "--half",
        "--labels",
        "labels.txt",
    ]);
    assert!(
        line.starts_with("new.safetensors: compact, 20 classes, sha256 "),
        "{line}"
    );
    let text = user.succeeds(&["inspect", "new.safetensors"]);
    assert!(
        text.contains("classes     20: thing 1, thing 2, ") && text.contains("float16"),
        "{text}"
    );
    let error = user.fails(&["convert", "new.safetensors", "./new.safetensors"]);
    assert!(
        error.contains("refused to replace `new.safetensors` by itself"),
        "{error}"
    );
    user.succeeds(&["-w", "new.safetensors", "a.png"]);
}
