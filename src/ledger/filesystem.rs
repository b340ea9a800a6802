//! Whether a folder is on a network file system, where SQLite's shared memory and locks do not hold between machines
//! and often not even on one.

use std::path::Path;

/// The kernel's number (`statfs(2)`, `f_type`) of each file system that is shared over a network or between machines.
const NETWORK: &[(u32, &str)] = &[
    (0x0000_6969, "nfs"),
    (0x0000_517B, "smb"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x0102_1997, "9p"),
    (0x5346_414F, "afs"),
    (0x6B41_4653, "afs"),
    (0x7375_7245, "coda"),
    (0x0000_564C, "ncp"),
    (0x00C3_6400, "ceph"),
    (0x0BD0_0BD0, "lustre"),
    (0x1983_0326, "beegfs"),
    (0x4750_4653, "gpfs"),
    (0xAAD7_AAEA, "panfs"),
    (0x2003_0528, "orangefs"),
    (0x7461_636F, "ocfs2"),
    (0x0116_1970, "gfs2"),
    (0x786F_4256, "vboxsf"),
    (0x7C7C_6673, "prl_fs"),
    (0xBACB_ACBC, "vmhgfs"),
];

/// FUSE has one number for all; which one it is stands in the mount table only.
const FUSE: u32 = 0x6573_5546;

/// The types of the mount table, without `fuse.`, of FUSE file systems that reach over a network. Others are local
/// (`gocryptfs`, `mergerfs`, `ntfs-3g`, `virtiofs` ...).
const NETWORK_FUSE: &[&str] = &[
    "sshfs",
    "ceph",
    "ceph-fuse",
    "ceph-fuse-client",
    "curlftpfs",
    "davfs",
    "davfs2",
    "gcsfuse",
    "geesefs",
    "glusterfs",
    "goofys",
    "gvfsd-fuse",
    "httpdirfs",
    "juicefs",
    "lizardfs",
    "mfs",
    "moosefs",
    "mount-s3",
    "mountpoint-s3",
    "rclone",
    "s3fs",
    "s3ql",
    "saunafs",
    "seaweedfs",
    "smbnetfs",
    "vmhgfs-fuse",
];

/// The name of the network file system that holds `path`, or the nearest folder above it that exists.
pub(crate) fn network_file_system(path: &Path) -> Option<String> {
    let folder = path.ancestors().find(|folder| folder.exists())?;
    kind(folder)
}

/// Decides by the kernel's number and, for FUSE, by the type in the mount table.
fn classify(number: u32, fuse_type: Option<&str>) -> Option<String> {
    if number == FUSE {
        let name = fuse_type?;
        let short = name.strip_prefix("fuse.").unwrap_or(name);
        return NETWORK_FUSE.contains(&short).then(|| name.to_owned());
    }
    NETWORK
        .iter()
        .find(|(network, _)| *network == number)
        .map(|(_, name)| (*name).to_owned())
}

#[cfg(target_os = "linux")]
fn kind(folder: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let stat = rustix::fs::statfs(folder).ok()?;
    // The kernel's numbers have 32 bits; the field is wider, and signed, on most machines.
    let number = u32::try_from(stat.f_type as u64 & 0xFFFF_FFFF).ok()?;
    let fuse_type = (number == FUSE)
        .then(|| {
            let device = std::fs::metadata(folder).ok()?.dev();
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            mount_type(&mounts, &format!("{major}:{minor}"))
        })
        .flatten();
    classify(number, fuse_type.as_deref())
}

/// Elsewhere nobody looks: the numbers above are Linux's.
#[cfg(not(target_os = "linux"))]
fn kind(_folder: &Path) -> Option<String> {
    None
}

/// The type of the file system on `device` (`0:52`) in the text of `/proc/self/mountinfo`.
fn mount_type(mounts: &str, device: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (before.split(' ').nth(2)? == device)
            .then(|| after.split(' ').next().map(str::to_owned))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        for (number, fuse_type, expected) in [
            (0x6969, None, Some("nfs")),
            (0xFF53_4D42, None, Some("cifs")),
            (0xFE53_4D42, None, Some("smb2")),
            (0x0102_1997, None, Some("9p")),
            (0x00C3_6400, None, Some("ceph")),
            (FUSE, Some("fuse.sshfs"), Some("fuse.sshfs")),
            (FUSE, Some("fuse.glusterfs"), Some("fuse.glusterfs")),
            // Local FUSE file systems, and one of which nothing is known.
            (FUSE, Some("fuse.gocryptfs"), None),
            (FUSE, Some("fuseblk"), None),
            (FUSE, Some("virtiofs"), None),
            (FUSE, None, None),
            // ext4, xfs, btrfs, tmpfs, overlayfs, zfs.
            (0xEF53, None, None),
            (0x5846_5342, None, None),
            (0x9123_683E, None, None),
            (0x0102_1994, None, None),
            (0x794C_7630, None, None),
            (0x2FC1_2FC1, None, None),
        ] {
            assert_eq!(
                classify(number, fuse_type).as_deref(),
                expected,
                "{number:#x} {fuse_type:?}"
            );
        }
    }

    #[test]
    fn the_mount_table_names_the_type_of_a_device() {
        let mounts = "24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      88 24 0:52 / /home/a\\040b rw,nosuid shared:7 master:1 - fuse.sshfs a@b:/ rw\n";
        assert_eq!(mount_type(mounts, "0:52").as_deref(), Some("fuse.sshfs"));
        assert_eq!(mount_type(mounts, "254:0").as_deref(), Some("ext4"));
        assert_eq!(mount_type(mounts, "0:5"), None);
    }

    #[test]
    fn a_path_that_does_not_exist_yet_is_judged_by_the_folder_above() {
        assert_eq!(network_file_system(Path::new("/no/such/folder/x.db")), None);
    }
}
