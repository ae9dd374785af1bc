//! JSON in lines that people can read.

use std::io;

use serde_json::ser::{Formatter, PrettyFormatter};

/// JSON that people can read and `diff` shows well: the outermost object and an array directly in
/// it have a line for each member, everything deeper stays on its line.
#[derive(Default)]
pub(super) struct LineFormatter {
    pretty: PrettyFormatter<'static>,
    depth: usize,
}

impl LineFormatter {
    const OBJECT_LINES: usize = 1;
    const ARRAY_LINES: usize = 2;
}

impl Formatter for LineFormatter {
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= Self::OBJECT_LINES {
            self.pretty.begin_object(writer)
        } else {
            writer.write_all(b"{")
        }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.depth <= Self::OBJECT_LINES {
            self.pretty.begin_object_key(writer, first)
        } else {
            writer.write_all(if first { b"" } else { b", " })
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < Self::OBJECT_LINES {
            self.pretty.end_object(writer)
        } else {
            writer.write_all(b"}")
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= Self::ARRAY_LINES {
            self.pretty.begin_array(writer)
        } else {
            writer.write_all(b"[")
        }
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.depth <= Self::ARRAY_LINES {
            self.pretty.begin_array_value(writer, first)
        } else {
            writer.write_all(if first { b"" } else { b", " })
        }
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < Self::ARRAY_LINES {
            self.pretty.end_array(writer)
        } else {
            writer.write_all(b"]")
        }
    }
}
