//! An initramfs: a cpio archive in the "newc" format (the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;

/// The archive as far as it is written.
pub(crate) struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
}

impl Initramfs {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), entries: 0 }
    }

    /// Adds a directory. Paths have no leading slash.
    pub(crate) fn directory(&mut self, path: &str) -> Result<()> {
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[])
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> Result<()> {
        self.entry(path, REGULAR | permissions, (0, 0), content)
    }

    /// Adds the console's device node, which the kernel opens for `/init`.
    pub(crate) fn console(&mut self, path: &str) -> Result<()> {
        self.entry(path, CHARACTER | 0o600, (5, 1), &[])
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        let size =
            u32::try_from(content.len()).with_context(|| format!("{path} does not fit into an initramfs"))?;
        let name = u32::try_from(path.len() + 1).context("a path's length")?;
        self.entries += 1;
        self.bytes.extend_from_slice(b"070701");
        for field in [
            self.entries, // inode
            mode,
            0, // uid
            0, // gid
            1, // links
            0, // modification time
            size,
            0, // device of the file system, major
            0, // and minor
            device.0,
            device.1,
            name, // with its final zero
            0,    // checksum, not used in this format
        ] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    /// Header and content each end at a multiple of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_sized() {
        let mut archive = Initramfs::new();
        archive.directory("dev").expect("a directory");
        archive.console("dev/console").expect("a node");
        archive.file("init", 0o755, b"hello").expect("a file");
        let bytes = archive.finish().expect("an archive");
        assert_eq!(bytes.len() % 4, 0);

        let mut at = 0;
        let mut seen = Vec::new();
        while at < bytes.len() {
            let field = |index: usize| {
                let from = at + 6 + index * 8;
                let text = std::str::from_utf8(&bytes[from..from + 8]).expect("digits");
                usize::from_str_radix(text, 16).expect("hexadecimal")
            };
            assert_eq!(&bytes[at..at + 6], b"070701");
            let (mode, size, name) = (field(1), field(6), field(11));
            let path = &bytes[at + 110..at + 110 + name - 1];
            let content = (at + 110 + name).next_multiple_of(4);
            seen.push((
                String::from_utf8_lossy(path).into_owned(),
                mode,
                (field(9), field(10)),
                bytes[content..content + size].to_vec(),
            ));
            at = (content + size).next_multiple_of(4);
        }
        assert_eq!(
            seen,
            [
                ("dev".to_owned(), 0o40755, (0, 0), vec![]),
                ("dev/console".to_owned(), 0o20600, (5, 1), vec![]),
                ("init".to_owned(), 0o100_755, (0, 0), b"hello".to_vec()),
                ("TRAILER!!!".to_owned(), 0, (0, 0), vec![]),
            ]
        );
    }
}
