//! Tasks that succeed: every way of handing over an image and weights.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::checkpoint;
use crate::digest::hex;
use crate::engine::{IMAGE_WITH_NAMED_WEIGHTS, IMAGE_WITH_WEIGHTS};
use crate::worker::{Outcome, Task, Worker, input_file_name};
use crate::{photo, repository, web};

/// An address of a dataset.
const DATASET: &str = "0x7a1f00000000000000000000000000000000beef";

/// The digest of the file that `sha256sum` would print.
fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))[2..].to_owned()
}

/// Asserts that the task did images `numbers`, nothing else, and that the workers agree on
/// consensus.json.
pub fn assert_done(outcome: &Outcome, numbers: &[usize]) {
    assert_eq!(outcome.exit, Some(0), "{}", outcome.stderr);
    let contribution = outcome.contribution.as_ref().unwrap();
    assert_eq!(
        contribution.computed["deterministic-output-path"],
        "/iexec_out/consensus.json"
    );
    assert_eq!(
        contribution.digest,
        format!("0x{}", sha256(&outcome.read("consensus.json")))
    );
    assert_eq!(contribution.computed.get("error-message"), None);
    assert_eq!(outcome.read("stdout.txt"), outcome.stdout.as_bytes());
    let files = numbers
        .iter()
        .flat_map(|number| [format!("{number}.json"), format!("{number}.png")]);
    let own = ["computed.json", "consensus.json", "stdout.txt"].map(str::to_owned);
    let mut expected: BTreeSet<_> = files.chain(own).collect();
    if !outcome.stderr.is_empty() {
        expected.insert("stderr.txt".to_owned());
    }
    assert_eq!(
        outcome.archive.iter().cloned().collect::<BTreeSet<_>>(),
        expected
    );
    let consensus = outcome.json("consensus.json");
    let done: Vec<_> = consensus["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["image"].clone())
        .collect();
    assert_eq!(json!(done), json!(numbers));
    for number in numbers {
        let report = outcome.json(&format!("{number}.json"));
        let size = image::load_from_memory(&outcome.read(&format!("{number}.png"))).unwrap();
        assert_eq!(report["image"]["width"], size.width());
        assert_eq!(report["image"]["height"], size.height());
    }
}

fn digest(outcome: &Outcome) -> &str {
    &outcome.contribution.as_ref().unwrap().digest
}

#[test]
fn an_image_by_address_file_or_path_gives_the_same_digest() {
    let web = web();
    let url = web.url("/dog2.jpg");
    let by_address = Worker::new().run(&Task::new(url.as_str()));
    assert_done(&by_address, &[1]);
    let report = by_address.json("1.json");
    assert_eq!(report["image"]["sha256"], sha256(&photo("dog2.jpg")));
    assert_eq!(report["detections"][0]["label"], "dog");
    assert!(
        by_address
            .contribution
            .as_ref()
            .unwrap()
            .computed
            .get("callback-data")
            .is_none()
    );

    let by_worker = Task {
        input_files: vec![url.clone()],
        ..Task::new("")
    };
    let by_worker = Worker::new().run(&by_worker);
    assert_done(&by_worker, &[1]);
    assert_eq!(digest(&by_worker), digest(&by_address));

    for path in ["dog2.jpg", "/iexec_in/dog2.jpg", "./../iexec_in/dog2.jpg"] {
        let worker = Worker::new();
        let task = Task::new(path).under("--network", "none");
        let (input, _) = worker.folders(&task);
        fs::create_dir_all(&input).unwrap();
        fs::write(input.join("dog2.jpg"), photo("dog2.jpg")).unwrap();
        let by_path = worker.run(&task);
        assert_done(&by_path, &[1]);
        assert_eq!(digest(&by_path), digest(&by_address), "{path}");
    }
}

#[test]
fn images_of_the_arguments_come_before_input_files() {
    let web = web();
    let files = vec![web.url("/chelsea.png"), web.url("/a/b/person1.jpg")];
    let task = Task {
        input_files: files.clone(),
        ..Task::new(web.url("/dog1.jpg"))
    };
    let outcome = Worker::new().run(&task);
    assert_done(&outcome, &[1, 2, 3]);
    let photos = ["dog1.jpg", "chelsea.png", "person1.jpg"].map(|name| sha256(&photo(name)));
    for (number, expected) in (1..).zip(photos) {
        assert_eq!(
            outcome.json(&format!("{number}.json"))["image"]["sha256"],
            expected
        );
    }
    assert_eq!(input_file_name(&files[0]).len(), 66);
}

#[test]
fn options_arrive_through_the_workers_splitting() {
    let web = web();
    let args = format!(
        r#"-t=0.3 --classes "dog, potted plant" --max-detections 1 --no-captions '{}'"#,
        web.url("/dog1.jpg")
    );
    let outcome = Worker::new().run(&Task::new(args));
    assert_done(&outcome, &[1]);
    let report = outcome.json("1.json");
    let expected =
        json!({"score_threshold": 0.3, "classes": ["dog", "potted plant"], "max_detections": 1});
    for (name, value) in expected.as_object().unwrap() {
        let found = &report["options"][name];
        let near = |a: &Value, b: &Value| Some((a.as_f64()? - b.as_f64()?).abs() < 1e-6);
        assert!(
            found == value || near(found, value) == Some(true),
            "{name}: {found}"
        );
    }
    assert_eq!(report["detections"].as_array().unwrap().len(), 1);
}

#[test]
fn a_dataset_in_pytorchs_format_replaces_the_weights() {
    let web = web();
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.pth");
    checkpoint::write_torchvision(&weights);
    let dataset = Some((DATASET.to_owned(), Some(weights.clone())));
    let task = Task {
        dataset,
        ..Task::new(web.url("/dog1.jpg"))
    };
    let outcome = Worker::new().run(&task);
    assert_done(&outcome, &[1]);
    let report = outcome.json("1.json");
    let expected = sha256(&fs::read(&weights).unwrap());
    assert_eq!(report["model"]["sha256"], expected);
    assert_eq!(report["model"]["labels"].as_array().unwrap().len(), 80);
    assert_eq!(outcome.json("consensus.json")["weights"], expected);

    // The same file, mounted by whoever runs the container himself.
    let mount = format!("{}:/iexec_in/mounted.pth", weights.display());
    let task = Task::new(format!("--weights mounted.pth {}", web.url("/dog1.jpg")))
        .under("--volume", &mount);
    let mounted = Worker::new().run(&task);
    assert_done(&mounted, &[1]);
    assert_eq!(digest(&mounted), digest(&outcome));
}

#[test]
fn named_weights_come_before_a_dataset_and_embedded_ones_behind() {
    let web = web();
    let embedded = repository("weights/compact.safetensors");
    let url = web.url("/dog1.jpg");
    let plain = Worker::new().run(&Task::new(url.as_str()));
    let blank = Task {
        dataset: Some((DATASET.to_owned(), None)),
        ..Task::new(url.as_str())
    };
    let blank = Worker::new().run(&blank);
    assert_done(&blank, &[1]);
    assert_eq!(digest(&blank), digest(&plain));

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("none"), "no checkpoint").unwrap();
    let dataset = Some((DATASET.to_owned(), Some(folder.path().join("none"))));
    let mount = format!("{}:/iexec_in/named", embedded.display());
    let named = Task {
        dataset,
        ..Task::new(format!("-w named {url}"))
    }
    .under("--volume", &mount);
    let named = Worker::new().run(&named);
    assert_done(&named, &[1]);
    assert_eq!(digest(&named), digest(&plain));
}

#[test]
fn each_task_of_a_bag_does_its_own_image() {
    let web = web();
    let names = ["dog1.jpg", "chelsea.png", "person1.jpg"];
    let input_files: Vec<_> = names
        .iter()
        .map(|name| web.url(&format!("/{name}")))
        .collect();
    let worker = Worker::new();
    let mut digests = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let task = Task {
            input_files: input_files.clone(),
            index,
            bag: 3,
            ..Task::new("")
        };
        let outcome = worker.run(&task);
        assert_done(&outcome, &[index + 1]);
        let report = outcome.json(&format!("{}.json", index + 1));
        assert_eq!(report["image"]["sha256"], sha256(&photo(name)));
        digests.insert(digest(&outcome).to_owned());
    }
    assert_eq!(digests.len(), 3);
    // More tasks than images: they start over. One image: every task does it.
    let task = Task {
        input_files,
        index: 4,
        bag: 5,
        ..Task::new("")
    };
    assert_done(&worker.run(&task), &[2]);
    let task = Task {
        index: 2,
        bag: 3,
        ..Task::new(web.url("/dog1.jpg"))
    };
    assert_done(&Worker::new().run(&task), &[1]);
}

/// The 32-byte words of ABI-encoded hexadecimal `data`.
fn words(data: &str) -> Vec<String> {
    let digits = data.strip_prefix("0x").unwrap();
    assert_eq!(digits.len() % 64, 0);
    digits
        .as_bytes()
        .chunks(64)
        .map(|word| String::from_utf8(word.to_vec()).unwrap())
        .collect()
}

#[test]
fn a_contract_gets_the_detections_when_the_requester_asks() {
    let web = web();
    let task = Task {
        callback: true,
        ..Task::new(format!("--callback {}", web.url("/dog2.jpg")))
    };
    let outcome = Worker::new().run(&task);
    assert_eq!(outcome.exit, Some(0), "{}", outcome.stderr);
    let contribution = outcome.contribution.as_ref().unwrap();
    let words = words(contribution.computed["callback-data"].as_str().unwrap());
    let number = |index: usize| u64::from_str_radix(&words[index][48..], 16).unwrap();
    let report = outcome.json("1.json");
    let detections = report["detections"].as_array().unwrap();
    assert_eq!(number(0), 0, "status");
    assert_eq!(words[1], sha256(&photo("dog2.jpg")));
    assert_eq!(words[2], report["model"]["sha256"].as_str().unwrap());
    assert_eq!(number(4) as usize, detections.len().min(32));
    assert_eq!(words.len(), 5 + 6 * detections.len().min(32));
    assert_eq!(json!(number(5)), detections[0]["category_id"]);
    let score = detections[0]["score"].as_f64().unwrap();
    assert!(
        number(6) % 100 == 0 && (number(6) as f64 / 1e4 - score).abs() <= 0.005001,
        "{} {score}",
        number(6)
    );
    for (edge, index) in (7..11).zip(0..) {
        assert!((number(edge) as f64 - detections[0]["bbox"][index].as_f64().unwrap()).abs() < 1.5);
    }
}

#[test]
fn names_of_images_never_become_names_of_results() {
    let names = [
        "with space.jpg",
        "été à la plage 写真 🐕.jpg",
        "....jpg",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.jpg",
        "line\nbreak.jpg",
        "computed.json",
        "-- --rf.jpg",
    ];
    let worker = Worker::new();
    let args: Vec<_> = names.iter().map(|name| format!("'./{name}' ")).collect();
    let task =
        Task::new(format!("{}'../iexec_in/....jpg'", args.concat())).under("--network", "none");
    let (input, _) = worker.folders(&task);
    fs::create_dir_all(&input).unwrap();
    for name in names {
        fs::write(input.join(name), photo("dog1.jpg")).unwrap();
    }
    let outcome = worker.run(&task);
    assert_done(&outcome, &[1, 2, 3, 4, 5, 6, 7, 8]);

    let web = web();
    let paths = [
        "/..%2f..%2f..%2fetc%2f/dog1.jpg",
        "/%2e%2e/%00/dog1.jpg",
        "/写真%20/dog1.jpg?../../../x=y#../z",
    ];
    let args: Vec<_> = paths.iter().map(|path| web.url(path)).collect();
    let outcome = Worker::new().run(&Task::new(args.join(" ")));
    assert_done(&outcome, &[1, 2, 3]);
}

#[test]
fn an_output_folder_keeps_the_files_of_others_not_old_results() {
    let worker = Worker::new();
    let task = Task::new("photo.jpg").under("--network", "none");
    let (input, output) = worker.folders(&task);
    fs::create_dir_all(&input).unwrap();
    fs::create_dir_all(output.join("folder")).unwrap();
    fs::write(input.join("photo.jpg"), photo("dog1.jpg")).unwrap();
    for name in [
        "1.png",
        "1.json",
        "consensus.json",
        "computed.json",
        "error.json",
        "folder/kept.txt",
        "kept.txt",
    ] {
        fs::write(output.join(name), "earlier").unwrap();
    }
    let outcome = worker.run(&task);
    assert_eq!(outcome.exit, Some(0), "{}", outcome.stderr);
    let expected = [
        "1.json",
        "1.png",
        "computed.json",
        "consensus.json",
        "folder/kept.txt",
        "kept.txt",
        "stdout.txt",
    ];
    assert_eq!(outcome.archive, expected);
    assert_eq!(outcome.read("kept.txt"), b"earlier");
    assert_ne!(outcome.read("1.png"), b"earlier");
    assert_eq!(
        digest(&outcome),
        format!("0x{}", sha256(&outcome.read("consensus.json")))
    );
}

#[test]
fn weights_of_the_image_come_before_the_embedded_ones_alone() {
    let web = web();
    let task = |image| Task {
        image,
        ..Task::new(web.url("/dog1.jpg"))
    };
    for image in [IMAGE_WITH_WEIGHTS, IMAGE_WITH_NAMED_WEIGHTS] {
        let outcome = Worker::new().run(&task(image));
        assert_done(&outcome, &[1]);
        assert_eq!(outcome.json("1.json")["model"]["file"], "weights");
    }

    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.pth");
    checkpoint::write_torchvision(&weights);
    let dataset = Some((DATASET.to_owned(), Some(weights)));
    let image = IMAGE_WITH_WEIGHTS;
    let outcome = Worker::new().run(&Task {
        dataset,
        ..task(image)
    });
    assert_done(&outcome, &[1]);
    assert_eq!(outcome.json("1.json")["model"]["file"], DATASET);
}
