//! The digest of a task's result, on which workers have to agree.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use sha3::Keccak256;

/// The digest of a file: sha256 of its content. Of a folder: keccak256 of the sha256 of its files
/// one after the other, in the order of their names; folders in it add nothing.
///
/// Source: iexec-common `FileHashUtils.java` and `ResultUtils.java`.
pub fn of_path(path: &Path) -> String {
    if path.is_file() {
        return hex(&Sha256::digest(fs::read(path).unwrap()));
    }
    let mut children: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    children.sort();
    let digests = children
        .iter()
        .filter(|child| child.is_file())
        .map(|child| Sha256::digest(fs::read(child).unwrap()));
    hex(&Keccak256::digest(digests.flatten().collect::<Vec<u8>>()))
}

/// The digest of a result for a contract: keccak256 of the bytes that it gets. `callback_data` is
/// in hexadecimal; none when it is not.
pub fn of_callback(callback_data: &str) -> Option<String> {
    let digits = callback_data
        .strip_prefix("0x")
        .unwrap_or(callback_data)
        .to_ascii_lowercase();
    let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?;
    (!bytes.is_empty()).then(|| hex(&Keccak256::digest(bytes)))
}

/// Keccak256 of `bytes`.
pub fn keccak(bytes: &[u8]) -> String {
    hex(&Keccak256::digest(bytes))
}

/// `bytes` in hexadecimal, behind 0x.
pub fn hex(bytes: &[u8]) -> String {
    format!("0x{}", data_encoding::HEXLOWER.encode(bytes))
}

/// Those of iexec-common's own `FileHashUtilsTests` and `ResultUtilsTests`.
#[test]
fn digests_are_those_that_iexec_tests_its_own_code_with() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("result1.txt");
    fs::write(folder.path().join("result2.txt"), "Another result").unwrap();
    fs::write(&first, "A result").unwrap();
    fs::create_dir(folder.path().join("result0")).unwrap();
    fs::write(folder.path().join("result0/ignored.txt"), "x").unwrap();
    assert_eq!(
        of_path(&first),
        "0xd885f429a59e0816822fc0927be6a6af20ade2c79db49df6c6022f79cb27ac16"
    );
    assert_eq!(
        of_path(folder.path()),
        "0xcc77508549295dd5de5876a2f4f00d4c3c27a547c6403450e43ab4de191bf1bc"
    );
    let one = format!("0x{:064}", 1);
    let expected = "0xb10e2d527612073b26eecdfd717e6a320cf44b4afac2b0732d9fcbe2b7fa0cf6";
    assert_eq!(of_callback(&one).as_deref(), Some(expected));
    assert_eq!(of_callback(""), None);
    assert_eq!(of_callback("0x1"), None);
}
