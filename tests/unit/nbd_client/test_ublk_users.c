/*
 * test_ublk_users.c - every way a device can be in use is seen, and its neighbour is not mistaken
 * for it
 *
 * A machine of files in a temporary directory. Its disk 1 has the number of /dev/null, and its
 * partition that of /dev/zero, and character devices count as block devices here (statx is
 * wrapped), so a link to one of them is a node of another name. Disk 10 has the number of
 * /dev/full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"
#include "tests/unit/nbd_client/root_dir.h"

int __real_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st);

int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
	int rc = __real_statx(dir, path, flags, mask, st);

	if (rc == 0 && S_ISCHR(st->stx_mode))
		st->stx_mode = (uint16_t)((st->stx_mode & ~S_IFMT) | S_IFBLK);
	return rc;
}

static void make_file(const char *what, const char *text)
{
	char path[256];
	FILE *file;

	in_root(what, path, sizeof(path));
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void make_link(const char *what, const char *target)
{
	char path[256];

	in_root(what, path, sizeof(path));
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

/* Who uses disk @id, by the thorough look. */
static enum ublk_user_kind user_of(int id, struct ublk_user *out)
{
	char sys[128], proc[128];

	in_root("sys", sys, sizeof(sys));
	in_root("proc", proc, sizeof(proc));
	ublk_user_find_at(sys, proc, id, true, out);
	return out->kind;
}

static bool is_used(int id)
{
	struct ublk_user user;

	return user_of(id, &user) != UBLK_USER_NONE;
}

/* Two ublk devices, one process, nothing in use. */
static int machine_make(void **state)
{
	static const char *const dirs[] = {"sys", "sys/block", "sys/block/ublkb1",
		"sys/block/ublkb1/holders", "sys/block/ublkb1/ublkb1p1",
		"sys/block/ublkb1/ublkb1p1/holders", "sys/block/ublkb10",
		"sys/block/ublkb10/holders", "sys/block/loop0", "proc", "proc/1", "proc/1/fd",
		"proc/1/ns"};

	snprintf(root, sizeof(root), "/tmp/sluice-users-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		make_dir(dirs[i]);
	make_file("sys/block/ublkb1/dev", "1:3\n");
	make_file("sys/block/ublkb1/ublkb1p1/dev", "1:5\n");
	make_file("sys/block/ublkb10/dev", "1:7\n");
	make_link("proc/1/ns/mnt", "mnt:[1]");
	make_file("proc/1/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n");
	make_file("proc/1/maps", "55d0-55d1 r--p 00000000 08:01 1 /usr/bin/init\n");
	make_file("proc/1/comm", "init\n");
	make_link("proc/1/fd/0", "/dev/urandom");
	make_file("proc/swaps", "Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n");
	return 0;
}

static int machine_remove(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void unused_device_is_free(void **state)
{
	assert_false(is_used(1));
	assert_false(is_used(10));
}

static void open_node_is_known_by_its_number_not_its_name(void **state)
{
	struct ublk_user user;

	make_link("proc/1/fd/0", "/dev/full");
	assert_int_equal(user_of(10, &user), UBLK_USER_PROCESS);
	assert_string_equal(user.text, "open by process 1 (init)");
	assert_false(is_used(1));
	make_link("proc/1/fd/0", "/dev/zero"); /* the partition */
	assert_true(is_used(1));
	assert_false(is_used(10));
	make_file("ublkb1", "a plain file of that name");
	make_link("proc/1/fd/0", "../../../ublkb1");
	assert_false(is_used(1));
	make_link("proc/1/fd/0", "/dev/ublkb1 (deleted)"); /* ended while it was looked at */
	assert_false(is_used(1));
}

static void mapping_without_a_descriptor_is_seen(void **state)
{
	struct ublk_user user;

	make_dir("proc/1/map_files");
	make_link("proc/1/map_files/7f00-7f10", "/dev/null");
	make_file("proc/1/maps", "7f00-7f10 rw-s 00000000 00:05 3 /srv/other\n");
	assert_int_equal(user_of(1, &user), UBLK_USER_PROCESS);
	assert_string_equal(user.text, "mapped by process 1 (init)");
	assert_false(is_used(10));
}

static void mount_of_another_namespace_is_seen(void **state)
{
	struct ublk_user user;

	make_dir("proc/77");
	make_dir("proc/77/ns");
	make_link("proc/77/ns/mnt", "mnt:[2]");
	/* Bound from a node of another name, at a place with a blank. */
	make_file("proc/77/mountinfo",
		"22 1 0:21 / /proc rw - proc proc rw\n"
		"30 22 1:5 / /mnt/my\\040data rw,relatime shared:1 - ext4 /srv/node rw\n");
	assert_int_equal(user_of(1, &user), UBLK_USER_MOUNT);
	assert_string_equal(user.text, "mounted at /mnt/my data");
	assert_false(is_used(10));
	/* Neither a mount point nor a source that looks like it. */
	make_file("proc/77/mountinfo", "30 22 8:1 / /mnt/ublkb1 rw - ext4 /dev/ublkb1 rw\n");
	assert_false(is_used(1));
}

static void swap_is_seen_by_number_and_by_name(void **state)
{
	struct ublk_user user;

	make_file("proc/swaps", "Filename Type Size Used Priority\n/dev/zero partition 1 0 -2\n");
	assert_int_equal(user_of(1, &user), UBLK_USER_SWAP);
	assert_false(is_used(10));
	make_file("proc/swaps", "Filename Type Size Used Priority\n/dev/ublkb10 partition 1 0 1\n");
	assert_true(is_used(10));
	assert_false(is_used(1));
}

/* On LVM on the partition: the holder's number is that of /dev/random. */
static void swap_on_top_of_a_holder_is_swap(void **state)
{
	struct ublk_user user;

	make_dir("sys/dev");
	make_dir("sys/dev/block");
	make_dir("sys/dev/block/1:5");
	make_dir("sys/dev/block/1:5/holders");
	make_dir("sys/dev/block/1:5/holders/dm-0");
	make_file("sys/dev/block/1:5/holders/dm-0/dev", "1:8\n");
	make_dir("sys/block/ublkb1/ublkb1p1/holders/dm-0");
	assert_int_equal(user_of(1, &user), UBLK_USER_HOLDER);
	make_file("proc/swaps", "Filename Type Size Used Priority\n/dev/random partition 1 0 -2\n");
	assert_int_equal(user_of(1, &user), UBLK_USER_SWAP);
	assert_string_equal(user.text, "active swap: /dev/random");
	assert_false(is_used(10));
}

static void holder_of_a_partition_is_seen(void **state)
{
	struct ublk_user user;

	make_dir("sys/block/ublkb1/ublkb1p1/holders/dm-0");
	assert_int_equal(user_of(1, &user), UBLK_USER_HOLDER);
	assert_string_equal(user.text, "held by dm-0");
	assert_false(is_used(10));
}

static void loop_device_is_seen(void **state)
{
	make_dir("sys/block/loop0/loop");
	make_file("sys/block/loop0/loop/backing_file", "/dev/null\n");
	assert_true(is_used(1));
	assert_false(is_used(10));
}

static void further_device_of_a_btrfs_is_seen(void **state)
{
	make_dir("sys/fs");
	make_dir("sys/fs/btrfs");
	make_dir("sys/fs/btrfs/features");
	make_dir("sys/fs/btrfs/0a0b");
	make_dir("sys/fs/btrfs/0a0b/devices");
	make_dir("sys/fs/btrfs/0a0b/devices/ublkb10");
	make_file("sys/fs/btrfs/0a0b/devices/ublkb10/dev", "1:7\n");
	assert_true(is_used(10));
	assert_false(is_used(1));
}

/* The tests run as root and not: a file in the place of a directory cannot be read by anybody. */
static void not_knowing_counts_as_used(void **state)
{
	struct ublk_user user;

	ublk_user_find_at("/nonexistent", "/nonexistent", 1, true, &user);
	assert_int_equal(user.kind, UBLK_USER_UNKNOWN);
	make_dir("proc/78");
	make_file("proc/78/fd", "");
	assert_int_equal(user_of(1, &user), UBLK_USER_UNKNOWN);
}

#define MACHINE_TEST(f) cmocka_unit_test_setup_teardown(f, machine_make, machine_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(unused_device_is_free),
		MACHINE_TEST(open_node_is_known_by_its_number_not_its_name),
		MACHINE_TEST(mapping_without_a_descriptor_is_seen),
		MACHINE_TEST(mount_of_another_namespace_is_seen),
		MACHINE_TEST(swap_is_seen_by_number_and_by_name),
		MACHINE_TEST(swap_on_top_of_a_holder_is_swap),
		MACHINE_TEST(holder_of_a_partition_is_seen),
		MACHINE_TEST(loop_device_is_seen),
		MACHINE_TEST(further_device_of_a_btrfs_is_seen),
		MACHINE_TEST(not_knowing_counts_as_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
