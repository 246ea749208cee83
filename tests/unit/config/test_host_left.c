/*
 * test_host_left.c - the daemon is down and a device of ours is in use: the doctor says so
 */
#include <fcntl.h>
#include <sys/file.h>
#include "tests/unit/config/machine.h"

#define RUN_DIR "/run/sluice-test"
#define BOOT	"11111111-2222-3333-4444-555555555555"

static struct host_check_line lines[4];

static void device_left(int id, const char *name, const char *boot)
{
	char path[128], text[256];

	snprintf(path, sizeof(path), RUN_DIR "/ublk-%d.state", id);
	snprintf(text, sizeof(text), "version 1\nboot %s\ndevice %d\nvolume.name %s\nend\n", boot,
		id, name);
	machine_file(path, text);
	snprintf(path, sizeof(path), "/sys/block/ublkb%d/dev", id);
	snprintf(text, sizeof(text), "259:%d\n", id);
	machine_file(path, text);
}

static void mounts(const char *text)
{
	machine_file("/proc/self/mountinfo", text);
}

static int start(void **state)
{
	if (!SLUICE_FAULT_INJECTION)
		return 0;
	if (machine_start(state))
		return -1;
	machine_file("/proc/sys/kernel/random/boot_id", BOOT "\n");
	machine_file("/proc/swaps", "Filename\tType\n");
	mounts("27 1 254:0 / / rw - ext4 /dev/vda rw\n");
	return 0;
}

static int end(void **state)
{
	return SLUICE_FAULT_INJECTION ? machine_end(state) : 0;
}

static unsigned left(void)
{
	memset(lines, 0, sizeof(lines));
	return host_left(RUN_DIR, lines, 4);
}

static void mounted_device_without_a_daemon_is_told(void **state)
{
	if (!SLUICE_FAULT_INJECTION)
		skip();
	assert_int_equal(left(), 0);
	device_left(3, "disk", BOOT);
	mounts("27 1 254:0 / / rw - ext4 /dev/vda rw\n40 27 259:3 / /srv rw - ext4 /dev/ublkb3 "
	       "rw\n");
	assert_int_equal(left(), 1);
	assert_false(lines[0].is_good);
	assert_true(lines[0].is_required);
	assert_non_null(strstr(
		lines[0].text, "/dev/ublkb3 (volume disk) is mounted, and no sluiced serves it"));
	assert_non_null(strstr(lines[0].remedy, "systemctl start sluiced"));
}

static void partition_swap_and_idle_device_are_told_too(void **state)
{
	if (!SLUICE_FAULT_INJECTION)
		skip();
	device_left(1, "part", BOOT);
	machine_file("/sys/block/ublkb1/ublkb1p1/dev", "259:99\n");
	mounts("41 27 259:99 / /srv rw - ext4 /dev/ublkb1p1 rw\n");
	device_left(10, "swap", BOOT);
	machine_file("/proc/swaps",
		"Filename\tType\n/dev/ublkb10                            partition\t1\t0\t-2\n");
	assert_int_equal(left(), 2);
	assert_non_null(strstr(lines[0].text,
		lines[0].text[10] == '1' && lines[0].text[11] == '0' ? "swap" : "mounted"));
	mounts("");
	machine_without("/proc/swaps");
	assert_int_equal(left(), 2);
	assert_non_null(strstr(lines[0].text, "waits for a daemon, and no sluiced"));
}

static void what_is_not_there_is_not_told(void **state)
{
	if (!SLUICE_FAULT_INJECTION)
		skip();
	device_left(3, "gone", BOOT);
	machine_without("/sys/block/ublkb3/dev");
	machine_without("/sys/block/ublkb3");
	device_left(4, "earlier-boot", "99999999-2222-3333-4444-555555555555");
	machine_file(RUN_DIR "/ublk-x.state", "boot " BOOT "\n");
	machine_file(RUN_DIR "/ublk-5.state.tmp", "boot " BOOT "\n");
	assert_int_equal(left(), 0);
}

/* The state files are below the test's root, the lock is where the run directory's name says. */
static void running_daemon_answers_for_its_devices(void **state)
{
	char dir[64], path[96], file[128], text[160];
	int fd;

	if (!SLUICE_FAULT_INJECTION)
		skip();
	strcpy(dir, "/tmp/sluice-left.XXXXXX");
	assert_non_null(mkdtemp(dir));
	device_left(3, "disk", BOOT);
	snprintf(file, sizeof(file), "%s/ublk-3.state", dir);
	snprintf(text, sizeof(text), "boot " BOOT "\nvolume.name disk\nend\n");
	machine_file(file, text);
	assert_int_equal(host_left(dir, lines, 4), 1);
	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT, 0644);
	assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
	assert_int_equal(host_left(dir, lines, 4), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(host_left(dir, lines, 4), 1); /* the lock of a dead daemon is free */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, start, end)
	const struct CMUnitTest tests[] = {
		CASE(mounted_device_without_a_daemon_is_told),
		CASE(partition_swap_and_idle_device_are_told_too),
		CASE(what_is_not_there_is_not_told),
		CASE(running_daemon_answers_for_its_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
