# Runs once inside a freshly made base system (chroot). What it says is part of the base's version: a change makes a new base.
set -eu

# Four kinds of login besides root. The key comes with each fleet; `locked` has a password only so that its sudo asks for one.
for user in deploy limited locked svc; do
    useradd --create-home --shell /bin/bash "$user"
done
echo 'locked:not-known-to-any-test' | chpasswd
mkdir -p /var/lib/systemd/linger
touch /var/lib/systemd/linger/svc /var/lib/systemd/linger/limited

cat >/etc/sudoers.d/fleet <<'SUDOERS'
deploy ALL=(ALL) NOPASSWD: ALL
locked ALL=(ALL) ALL
SUDOERS
chmod 0440 /etc/sudoers.d/fleet

cat >/etc/ssh/sshd_config.d/fleet.conf <<'SSHD'
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/fleet_key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
SSHD

# The address is set by `ip`, not by a network manager: nothing takes it away again when the link goes down.
cat >/etc/systemd/system/fleet-address.service <<'UNIT'
[Unit]
Description=Address of this test host
Before=network.target ssh.service
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/fleet-address
ExecStart=/sbin/ip address replace ${ADDRESS} dev host0
ExecStart=/sbin/ip link set host0 up

[Install]
WantedBy=multi-user.target
UNIT
systemctl enable fleet-address.service ssh.service

# Quiet and quick to boot; nothing here may look for a network.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    motd-news.timer logrotate.timer man-db.timer systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service \
    systemd-resolved.service systemd-timesyncd.service systemd-firstboot.service systemd-pstore.service ssh.socket \
    console-getty.service getty@tty1.service getty.target rsync.service; do
    systemctl mask "$unit"
done

# What debootstrap took over from the machine, and what must differ from host to host.
rm -f /etc/ssh/ssh_host_* /etc/resolv.conf /etc/hostname
: >/etc/resolv.conf
: >/etc/apt/sources.list
: >/etc/fstab
: >/etc/machine-id
apt-get clean
rm -rf /var/lib/apt/lists /var/log/bootstrap.log
