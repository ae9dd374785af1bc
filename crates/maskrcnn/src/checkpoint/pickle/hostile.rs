//! Names that only a pickle has that wants to run something.
//!
//! None of them would be run here, listed or not. They are refused because a file that has one was
//! made to attack the programs that unpickle, and weights from such a hand are better not used. The
//! list follows what scanners of pickles look for and what was found in the wild: it makes an alarm,
//! it is not what keeps code from running.

/// Modules of which nothing may be named, with all that is below them: those that start processes,
/// run code, import, load libraries, unpickle, or talk to the network.
const MODULES: [&str; 61] = [
    // Processes and the system, and the C modules behind them.
    "os",
    "posix",
    "nt",
    "subprocess",
    "_posixsubprocess",
    "commands",
    "popen2",
    "pty",
    "sys",
    "shutil",
    "signal",
    "_winapi",
    "msvcrt",
    "winreg",
    "_winreg",
    "fileinput",
    // Code as text, as objects, as files.
    "runpy",
    "codeop",
    "timeit",
    "pdb",
    "bdb",
    "cProfile",
    "profile",
    "trace",
    "doctest",
    "pydoc",
    "marshal",
    "idlelib",
    "lib2to3",
    // Imports and installers.
    "importlib",
    "imp",
    "pkgutil",
    "zipimport",
    "site",
    "pip",
    "ensurepip",
    "venv",
    "distutils",
    "setuptools",
    // Foreign functions.
    "ctypes",
    "_ctypes",
    "cffi",
    // Pickles in pickles.
    "pickle",
    "_pickle",
    "cPickle",
    "pickletools",
    "dill",
    "cloudpickle",
    "shelve",
    // The network.
    "socket",
    "_socket",
    "ssl",
    "http",
    "httplib",
    "urllib",
    "urllib2",
    "requests",
    "aiohttp",
    "ftplib",
    "smtplib",
    "webbrowser",
];

/// Single names of modules that have harmless ones, too; with all that is below a module's name.
const NAMES: [(&str, &str); 24] = [
    ("types", "FunctionType"),
    ("types", "CodeType"),
    ("types", "LambdaType"),
    ("code", "InteractiveConsole"),
    ("code", "InteractiveInterpreter"),
    ("code", "interact"),
    ("operator", "attrgetter"),
    ("operator", "methodcaller"),
    ("_operator", "attrgetter"),
    ("_operator", "methodcaller"),
    ("io", "open"),
    ("io", "FileIO"),
    ("_io", "open"),
    ("_io", "FileIO"),
    ("codecs", "open"),
    ("numpy", "load"),
    ("joblib", "load"),
    ("torch", "load"),
    ("torch", "compile"),
    ("torch.serialization", "load"),
    ("torch.storage", "_load_from_bytes"), // a pickle in a pickle
    ("torch.jit", "load"),
    ("torch.jit._serialization", "load"),
    ("torch._inductor.codecache", "compile_file"),
];

/// Modules below harmless ones, with all that is below them.
const SUBMODULES: [&str; 8] = [
    "asyncio.subprocess",
    "multiprocessing.popen_fork",
    "numpy.f2py",
    "numpy.testing",
    "torch.hub",
    "torch.utils.collect_env",
    "torch.utils.cpp_extension",
    "torch.utils.bottleneck",
];

/// Types of Python's own that training scripts write: the rest of `builtins` (`eval`, `getattr`,
/// `__import__`, `open`, …) is refused.
const BUILTIN_TYPES: [&str; 15] = [
    "bool", "bytes", "dict", "float", "int", "list", "long", "object", "range", "slice", "str",
    "tuple", "type", "unicode", "xrange",
];

/// What else training scripts name of `collections`; a dotted name reaches into a class.
const COLLECTIONS: [&str; 5] = ["ChainMap", "UserDict", "UserList", "UserString", "deque"];

/// Whether only a hostile pickle names this.
pub(super) fn is_hostile(module: &str, name: &str) -> bool {
    let is_below = |package: &&str| {
        module
            .strip_prefix(*package)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_named = |&(of, listed): &(&str, &str)| {
        of == module
            && name
                .strip_prefix(listed)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    // Names that Python cannot have, or that are to upset a terminal.
    let is_no_name = |text: &str| text.is_empty() || text.contains(char::is_control);
    if is_no_name(module) || is_no_name(name) {
        return true;
    }
    match module {
        "builtins" | "__builtin__" => !BUILTIN_TYPES.contains(&name),
        "collections" => !COLLECTIONS.contains(&name),
        // What of it makes tensors is listed; the rest imports by name.
        "torch._utils" => true,
        _ => {
            // `a.b` of module `c` is what `b` of module `c.a` is.
            MODULES.iter().any(is_below)
                || SUBMODULES.iter().any(is_below)
                || NAMES.iter().any(is_named)
                || reaches_hostile(name)
        }
    }
}

/// Whether a dotted name goes through a harmless module to one that is listed, such as
/// `os.system` of a module that imports `os`, or through Python's own machinery.
fn reaches_hostile(name: &str) -> bool {
    name.contains('.')
        && name
            .split('.')
            .any(|part| MODULES.contains(&part) || part.starts_with("__") || part == "builtins")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_something_is_hostile_however_it_is_reached() {
        for (module, name) in [
            ("os", "system"),
            ("os.path", "os.system"),
            ("subprocess", "Popen"),
            ("builtins", "exec"),
            ("__builtin__", "__import__"),
            ("importlib.util", "spec_from_file_location"),
            ("sys", "modules"),
            ("operator", "attrgetter"),
            ("torch.hub", "load"),
            ("torch.serialization", "os.system"),
            ("argparse", "_sys.modules.__class__"),
            ("numpy.testing._private.utils", "runstring"),
            ("types", "CodeType"),
            ("argparse", ""),
            ("argparse\x1b[2J", "Namespace"),
        ] {
            assert!(is_hostile(module, name), "{module}.{name}");
        }
    }

    #[test]
    fn what_training_scripts_write_is_not() {
        for (module, name) in [
            ("argparse", "Namespace"),
            ("pathlib", "PosixPath"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy", "dtype"),
            ("functools", "partial"),
            ("types", "SimpleNamespace"),
            ("omegaconf.dictconfig", "DictConfig"),
            ("lightning.fabric.utilities.data", "AttributeDict"),
            ("torch.nn.modules.conv", "Conv2d"),
            ("torch.optim.lr_scheduler", "StepLR"),
            ("ossaudio", "x"),
            ("__main__", "Outer.Inner"),
            ("code.models", "Net"),
            ("copyreg", "_reconstructor"),
        ] {
            assert!(!is_hostile(module, name), "{module}.{name}");
        }
    }
}
