//! What kind of program a file is: just enough of ELF to refuse the wrong one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::core::revision::Architecture;

/// What a file looks like to the kernel that is to execute it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// A 64-bit ELF program for a known machine.
    Elf {
        machine: Architecture,
        /// Bytes in sections that only a debugger needs.
        debug_bytes: u64,
    },
    /// It starts with `#!`.
    Script,
    /// The kernel, or rollctl, cannot take it; why, in words that follow "it is".
    Not(String),
}

/// `e_machine` and the name that `uname -m` has for it.
const MACHINES: [(u16, &str); 7] = [
    (0x3e, "x86_64"),
    (0xb7, "aarch64"),
    (0xf3, "riscv64"),
    (0x15, "ppc64le"),
    (0x16, "s390x"),
    (0x102, "loongarch64"),
    (0x08, "mips64"),
];
/// Files that people take for programs, by their first bytes.
const OTHERS: [(&[u8], &str); 8] = [
    (b"PK\x03\x04", "a zip or jar archive"),
    (b"\x1f\x8b", "gzip data (an archive's name ends in .tar.gz)"),
    (
        b"\x28\xb5\x2f\xfd",
        "zstd data (an archive's name ends in .tar.zst)",
    ),
    (
        b"\xfd7zXZ\x00",
        "xz data (unpack it, or pack it as .tar.zst)",
    ),
    (b"BZh", "bzip2 data (unpack it, or pack it as .tar.zst)"),
    (b"MZ", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"!<arch>", "a library or package archive"),
];
const HEADER_SIZE: usize = 64;
const SECTION_SIZE: usize = 64;

/// Looks at a file's first bytes, and for ELF at its section table.
pub(super) fn inspect(path: &Path) -> io::Result<Program> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(HEADER_SIZE);
    file.by_ref()
        .take(HEADER_SIZE as u64)
        .read_to_end(&mut head)?;
    if head.starts_with(b"#!") {
        return Ok(Program::Script);
    }
    if head.starts_with(b"\x7fELF") {
        return Ok(inspect_elf(&mut file, &head));
    }
    let known = OTHERS.iter().find(|(magic, _)| head.starts_with(magic));
    Ok(Program::Not(match known {
        Some((_, name)) => (*name).to_owned(),
        None => "neither an ELF program nor a script that starts with `#!`".to_owned(),
    }))
}

fn inspect_elf(file: &mut File, head: &[u8]) -> Program {
    let not = |what: &str| Program::Not(what.to_owned());
    let (Some(class), Some(order)) = (head.get(4), head.get(5)) else {
        return not("an ELF file that is cut off");
    };
    if *class != 2 {
        return not("a 32-bit ELF program, and hosts are 64-bit");
    }
    let fields = Fields {
        bytes: head,
        is_little: *order == 1,
    };
    let (Some(kind), Some(number)) = (fields.u16(16), fields.u16(18)) else {
        return not("an ELF file that is cut off");
    };
    match kind {
        2 | 3 => {}
        1 => return not("an ELF object file, not a linked program"),
        4 => return not("a core dump"),
        _ => return not("an ELF file, but not a program"),
    }
    // The big-endian variants have the numbers of the little-endian ones, and nobody here has such hosts.
    let machine = MACHINES
        .iter()
        .find(|(known, name)| *known == number && fields.is_little == (*name != "s390x"));
    let Some((_, machine)) = machine else {
        return Program::Not(format!(
            "an ELF program for an unknown machine (e_machine {number})"
        ));
    };
    if is_cut_off(file, &fields) {
        return not("an ELF program whose end is missing: the copy or the build was cut short");
    }
    Program::Elf {
        machine: Architecture((*machine).to_owned()),
        debug_bytes: debug_bytes(file, &fields).unwrap_or(0),
    }
}

/// Whether the kernel would map more of the file than there is.
fn is_cut_off(file: &mut File, header: &Fields<'_>) -> bool {
    let (Some(offset), Some(size), Some(count)) =
        (header.u64(0x20), header.u16(0x36), header.u16(0x38))
    else {
        return true;
    };
    if count == 0 {
        return false;
    }
    let (size, count) = (usize::from(size), usize::from(count));
    let Some(table) = read_at(file, offset, size * count) else {
        return true;
    };
    let Ok(length) = file.metadata().map(|metadata| metadata.len()) else {
        return false;
    };
    (0..count).any(|index| {
        let segment = Fields {
            bytes: table.get(index * size..).unwrap_or_default(),
            is_little: header.is_little,
        };
        let end = || segment.u64(0x08)?.checked_add(segment.u64(0x20)?);
        // PT_LOAD
        segment.u32(0) == Some(1) && end().is_none_or(|end| end > length)
    })
}

/// The sizes of `.debug_*` sections; nothing when the section table is damaged, which the kernel does not read.
fn debug_bytes(file: &mut File, header: &Fields<'_>) -> Option<u64> {
    let offset = header.u64(0x28)?;
    let size = usize::from(header.u16(0x3a)?);
    let count = usize::from(header.u16(0x3c)?);
    let names = usize::from(header.u16(0x3e)?);
    if size != SECTION_SIZE || names >= count {
        return None;
    }
    let table = read_at(file, offset, size * count)?;
    let section = |index: usize| Fields {
        bytes: table.get(index * size..).unwrap_or_default(),
        is_little: header.is_little,
    };
    let names = section(names);
    // Names are a few kilobytes; a megabyte is already damage.
    let length = usize::try_from(names.u64(0x20)?).ok()?.min(1 << 20);
    let names = read_at(file, names.u64(0x18)?, length)?;
    let sizes = (0..count).filter_map(|index| {
        let fields = section(index);
        let name = names.get(usize::try_from(fields.u32(0)?).ok()?..)?;
        let is_debug = name.starts_with(b".debug_") || name.starts_with(b".zdebug_");
        // SHT_NOBITS takes no room in the file.
        (is_debug && fields.u32(4)? != 8).then(|| fields.u64(0x20))?
    });
    Some(sizes.fold(0, u64::saturating_add))
}

fn read_at(file: &mut File, offset: u64, length: usize) -> Option<Vec<u8>> {
    file.seek(SeekFrom::Start(offset)).ok()?;
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes).ok()?;
    (bytes.len() == length).then_some(bytes)
}

/// Numbers in the file's own byte order.
struct Fields<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl Fields<'_> {
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(if self.is_little {
            bytes.iter().rev().fold(0, fold)
        } else {
            bytes.iter().fold(0, fold)
        })
    }

    fn u16(&self, at: usize) -> Option<u16> {
        u16::try_from(self.number(at, 2)?).ok()
    }

    fn u32(&self, at: usize) -> Option<u32> {
        u32::try_from(self.number(at, 4)?).ok()
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.number(at, 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first 20 bytes of an ELF file, padded to a header without sections.
    fn elf(class: u8, order: u8, kind: u16, machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([class, order, 1, 0]);
        bytes.resize(16, 0);
        let number = |value: u16| match order {
            1 => value.to_le_bytes(),
            _ => value.to_be_bytes(),
        };
        bytes.extend(number(kind));
        bytes.extend(number(machine));
        bytes.resize(HEADER_SIZE, 0);
        bytes
    }

    #[test]
    fn files_and_what_the_kernel_would_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for (bytes, expected, sentence) in [
            (elf(2, 1, 3, 0x3e), "elf x86_64", "a 64-bit Intel program"),
            (elf(2, 1, 2, 0xb7), "elf aarch64", "a static ARM program"),
            (elf(2, 2, 3, 0x16), "elf s390x", "a big-endian machine"),
            (elf(1, 1, 3, 0x03), "32-bit", "an old Intel program"),
            (elf(2, 1, 1, 0x3e), "object file", "somebody forgot to link"),
            (elf(2, 1, 4, 0x3e), "core dump", "a core dump"),
            (
                elf(2, 1, 3, 0x777),
                "unknown machine",
                "a machine of the future",
            ),
            (b"\x7fELF".to_vec(), "cut off", "only the magic"),
            (b"#!/bin/sh\n".to_vec(), "script", "a script"),
            (b"PK\x03\x04....".to_vec(), "zip or jar", "a jar"),
            (b"hello".to_vec(), "neither", "a text"),
            (Vec::new(), "neither", "nothing at all"),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            let said = match inspect(&path).unwrap() {
                Program::Elf { machine, .. } => format!("elf {machine}"),
                Program::Script => "script".to_owned(),
                Program::Not(what) => what,
            };
            assert!(said.contains(expected), "{sentence}: {said}");
        }
    }

    #[test]
    fn the_running_test_is_a_program_with_debug_sections_or_without() {
        let me = std::env::current_exe().unwrap();
        let Program::Elf { machine, .. } = inspect(&me).unwrap() else {
            panic!("not taken for a program");
        };
        assert_eq!(machine.0, std::env::consts::ARCH);
    }

    #[test]
    fn a_program_whose_end_is_missing_is_no_program() {
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for kept in [100, 3_000, 200_000] {
            std::fs::write(&path, &whole[..kept]).unwrap();
            let found = inspect(&path).unwrap();
            assert!(
                matches!(&found, Program::Not(what) if what.contains("end is missing")),
                "{kept} bytes: {found:?}"
            );
        }
    }

    #[test]
    fn debug_sections_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        // Header, names at 64, table of two sections at 128: the names, and `.debug_info` of 30,000,000 bytes.
        let mut bytes = elf(2, 1, 3, 0x3e);
        bytes[0x28..0x30].copy_from_slice(&128u64.to_le_bytes());
        bytes[0x3a..0x3c].copy_from_slice(&64u16.to_le_bytes());
        bytes[0x3c..0x3e].copy_from_slice(&2u16.to_le_bytes());
        bytes.extend(b"\0.debug_info\0");
        bytes.resize(128 + 2 * 64, 0);
        bytes[128 + 0x18..128 + 0x20].copy_from_slice(&64u64.to_le_bytes());
        bytes[128 + 0x20..128 + 0x28].copy_from_slice(&13u64.to_le_bytes());
        bytes[192..196].copy_from_slice(&1u32.to_le_bytes());
        bytes[192 + 0x20..192 + 0x28].copy_from_slice(&30_000_000u64.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let found = inspect(&path).unwrap();
        assert!(
            matches!(
                found,
                Program::Elf {
                    debug_bytes: 30_000_000,
                    ..
                }
            ),
            "{found:?}"
        );
    }

    proptest::proptest! {
        #[test]
        fn garbage_after_the_magic_never_panics(rest: Vec<u8>, header in proptest::array::uniform32(proptest::num::u8::ANY)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("f");
            let mut bytes = elf(2, 1, 3, 0x3e);
            bytes[32..64].copy_from_slice(&header);
            bytes.extend(rest);
            std::fs::write(&path, &bytes).unwrap();
            inspect(&path).unwrap();
        }
    }
}
