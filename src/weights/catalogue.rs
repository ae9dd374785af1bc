//! The weights that publishers offer, by the names that this program gives them.

use intake::Address;
use url::Url;

/// Weights that somebody published, or that are part of the program.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// The program's name for them.
    pub name: &'static str,
    /// Whose network it is, in words.
    pub network: &'static str,
    /// Where they are; none for those that are part of the program.
    url: Option<&'static str>,
    /// The size of the file; none where it is not known here.
    pub bytes: Option<u64>,
    /// Of the file, in hex; none where it is not known here.
    pub sha256: Option<&'static str>,
    /// The first digits of the MD5 of the file, which detectron2's publisher puts into its name
    /// (`MODEL_ZOO.md`, "How to Read the Tables"); none where there are none.
    pub md5_prefix: Option<&'static str>,
    /// Published mask AP on COCO val2017; none for those that were not measured so.
    pub mask_ap: Option<f32>,
    /// Of the weights, as their publisher says.
    pub licence: &'static str,
}

/// All of them. Addresses, AP and licences: torchvision's `models/detection/mask_rcnn.py`,
/// detectron2's `MODEL_ZOO.md`, Matterport's release 2.0. weights/README.md says where sizes and sums
/// come from, and which could not be checked against the publisher's file.
pub static CATALOGUE: [Entry; 7] = [
    Entry {
        name: "compact",
        network: "EfficientNet-Lite0, part of the program",
        url: None,
        bytes: None,
        sha256: None,
        md5_prefix: None,
        mask_ap: None,
        licence: "MIT",
    },
    Entry {
        name: "maskrcnn-v1",
        network: "torchvision maskrcnn_resnet50_fpn",
        url: Some("https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),
        bytes: Some(178_090_079),
        sha256: Some("bf2d0c1efbc936eeee2bc95a48e80ebc86b891f61b0106485937fc29f9315fc0"),
        md5_prefix: None,
        mask_ap: Some(34.6),
        licence: "BSD-3-Clause",
    },
    Entry {
        name: "maskrcnn-v2",
        network: "torchvision maskrcnn_resnet50_fpn_v2",
        url: Some("https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth"),
        bytes: Some(185_828_065),
        sha256: Some("73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e"),
        md5_prefix: None,
        mask_ap: Some(41.8),
        licence: "BSD-3-Clause",
    },
    Entry {
        name: "matterport",
        network: "Matterport ResNet-101",
        url: Some(
            "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5",
        ),
        bytes: Some(257_557_808),
        sha256: None,
        md5_prefix: None,
        mask_ap: None,
        licence: "MIT",
    },
    Entry {
        name: "detectron2-r50-3x",
        network: "detectron2 mask_rcnn_R_50_FPN_3x",
        url: Some(
            "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl",
        ),
        bytes: Some(177_841_981),
        sha256: Some("9a737e290372f1f70994ebcbd89d8004dbb3ae30a605fd915a190fa4a782dd66"),
        md5_prefix: Some("f10217"),
        mask_ap: Some(37.2),
        licence: "CC-BY-SA-3.0",
    },
    Entry {
        name: "detectron2-r101-3x",
        network: "detectron2 mask_rcnn_R_101_FPN_3x",
        url: Some(
            "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x/138205316/model_final_a3ec72.pkl",
        ),
        bytes: None,
        sha256: None,
        md5_prefix: Some("a3ec72"),
        mask_ap: Some(38.6),
        licence: "CC-BY-SA-3.0",
    },
    Entry {
        name: "detectron2-x101-3x",
        network: "detectron2 mask_rcnn_X_101_32x8d_FPN_3x",
        url: Some(
            "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x/139653917/model_final_2d9806.pkl",
        ),
        bytes: None,
        sha256: None,
        md5_prefix: Some("2d9806"),
        mask_ap: Some(39.5),
        licence: "CC-BY-SA-3.0",
    },
];

/// The entry called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}

/// The name that `word` looks most like, when it looks like one at all.
pub fn nearest(word: &str) -> Option<&'static str> {
    /// As clap has it for its own words.
    const ALIKE: f64 = 0.7;
    let alike = |entry: &'static Entry| (strsim::jaro(word, entry.name), entry.name);
    let best = CATALOGUE
        .iter()
        .map(alike)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(alike, _)| *alike > ALIKE)
        .map(|(_, name)| name)
}

impl Entry {
    /// Where the weights are fetched from, on `mirror` instead of the publisher's host if there is
    /// one; none for those that are part of the program.
    pub fn address(&self, mirror: Option<&Url>) -> Option<Address> {
        let url = self.url?;
        let address = match mirror {
            None => url.to_owned(),
            Some(mirror) => {
                let path = url.splitn(4, '/').nth(3).unwrap_or_default();
                format!("{}/{path}", mirror.as_str().trim_end_matches('/'))
            }
        };
        Some(Address::not_standard_input(address.as_ref()))
    }

    /// The name of the publisher's file.
    pub fn file(&self) -> &'static str {
        let last = self.url.and_then(|url| url.rsplit('/').next());
        last.unwrap_or(maskrcnn::Weights::EMBEDDED_NAME)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn entries_are_complete_and_told_apart() {
        let names: BTreeSet<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
        let files: BTreeSet<_> = CATALOGUE.iter().map(Entry::file).collect();
        assert_eq!(
            (names.len(), files.len()),
            (CATALOGUE.len(), CATALOGUE.len())
        );
        for entry in &CATALOGUE {
            let is_hex = |sum: &str| sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(entry.sha256.is_none_or(is_hex), "{}", entry.name);
            // PyTorch's files have the first digits of their sum in their name.
            if let (Some(sum), Some((_, prefix))) = (entry.sha256, entry.file().rsplit_once('-')) {
                assert!(
                    sum.starts_with(prefix.trim_end_matches(".pth")),
                    "{}",
                    entry.name
                );
            }
            let file = entry.file();
            let in_name = |prefix| file.ends_with(&format!("_{prefix}.pkl"));
            assert!(entry.md5_prefix.is_none_or(in_name), "{}", entry.name);
            let address = entry.address(None);
            assert!(address.is_none_or(|address| matches!(address, Address::Http(_))));
        }
    }

    #[test]
    fn a_word_mistyped_gets_the_nearest_name() {
        assert_eq!(nearest("maskrcnnv2"), Some("maskrcnn-v2"));
        assert_eq!(nearest("matterprot"), Some("matterport"));
        assert_eq!(nearest("detectron2-r50"), Some("detectron2-r50-3x"));
        assert_eq!(nearest("holiday"), None);
    }
}
