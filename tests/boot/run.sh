#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# make check-boot: boots a virtual machine with a real systemd as its first process, installs this build into it as
# `make install` does, and lets guest.sh show there that the units start, get their credentials, come back after kill -9, are
# ended by the watchdog, and stay inside their sandbox. Needs root, some 3 GB in build/boot, and some ten minutes. The last line is "N passed, N failed". BOOT_KEEP=1 keeps the file system that was made.
set -eu
cd "$(dirname "$0")/../.."
boot=$PWD/build/boot
root=$boot/root
packages=systemd-sysv,udev,dbus,linux-image-cloud-amd64,initramfs-tools,postgresql,postgresql-client,tzdata,procps,libzmq5,libpq5
packages+=,libconfig9,libyajl2,liblmdb0,libmicrohttpd12,libsodium23
[ "$(id -u)" = 0 ] || { echo 'boot: needs root to make a file system with its owners' >&2; exit 77; }
tools/install-packages.sh debootstrap qemu-system-x86 e2fsprogs

# 1. A Debian as small as it gets, once.
if [ ! -e "$root/.made" ]; then
    rm -rf "$root"
    mkdir -p "$root"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
    debootstrap --variant=minbase --include="$packages" "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" "$mirror" \
        >"$boot/debootstrap.log" 2>&1 || { tail -20 "$boot/debootstrap.log" >&2; exit 69; }
    touch "$root/.made"
fi

# 2. This build, as an administrator installs it.
make --no-print-directory install DESTDIR="$root" PREFIX=/usr >"$boot/install.log"
install -D -m 755 tests/boot/guest.sh "$root/opt/guest.sh"
cat >"$root/etc/systemd/system/guest.service" <<UNIT
[Unit]
Description=What the machine is booted for
After=multi-user.target postgresql.service

[Service]
Type=oneshot
ExecStart=/opt/guest.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStopPost=/bin/systemctl poweroff --force

[Install]
WantedBy=graphical.target multi-user.target
UNIT
ln -sf /etc/systemd/system/guest.service "$root/etc/systemd/system/multi-user.target.wants/guest.service"
ln -sf /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"
echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"

# 3. Its disk, and power.
rm -f "$boot/disk"
mke2fs -q -t ext4 -d "$root" "$boot/disk" 3G
# Emulated: what KVM would save in time, it takes back where a virtual machine only pretends to have it. BOOT_ACCEL=kvm asks for it.
timeout "${BOOT_SECONDS:-900}" qemu-system-x86_64 -accel "${BOOT_ACCEL:-tcg,thread=multi}" -cpu max -m 1024 -smp 2 -nodefaults \
    -no-reboot -display none -kernel "$(ls "$root"/boot/vmlinuz-* | tail -1)" -initrd "$(ls "$root"/boot/initrd.img-* | tail -1)" \
    -append 'root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 net.ifnames=0' \
    -drive "file=$boot/disk,format=raw,if=virtio,cache=unsafe" -serial "file:$boot/console.log" || true
[ -n "${BOOT_KEEP:-}" ] || rm -f "$boot/disk"
tr -d '\r' <"$boot/console.log" | sed -n '/^guest: begin/,$p' | tee "$boot/guest.log"
grep -qE '^[0-9]+ passed, 0 failed$' "$boot/guest.log" || { echo "boot: see $boot/console.log" >&2; exit 1; }
