/*
 * test_eal_drivers.c - which of DPDK's drivers are loaded, from the directory as it is installed
 *
 * Loading and hiding happen in a child each, for a driver once loaded stays.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <rte_build_config.h>
#include "config/host/host.h"
#include "daemon/eal_drivers.h"

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_NET    0x1041
#define INTEL	      0x8086
#define E1000E	      0x10d3

static bool is_own = true;
static uint16_t pci_device = VIRTIO_NET;

/* The host's side is the test's own. */
bool host_mounts_are_own(void)
{
	return is_own;
}

int host_pci_read(const char *address, struct host_pci *out, struct error *err)
{
	(void)address;
	(void)err;
	*out = (struct host_pci){.vendor = VIRTIO_VENDOR, .device = pci_device};
	return 0;
}

static unsigned files_in(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static bool is_loaded(const char *name)
{
	return dlopen(name, RTLD_NOW | RTLD_NOLOAD) != NULL;
}

/* In a child with mounts of its own: what @body says, or 77 where the kernel allows none. */
static int in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
			_exit(77);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void path_of(const char *name, char *out, size_t bytes)
{
	snprintf(out, bytes, "%s/librte_%s.so", RTE_EAL_PMD_PATH, name);
}

static void id_is_found_in_the_driver_that_lists_it(void **state)
{
	char virtio[256], e1000[256];

	(void)state;
	path_of("net_virtio", virtio, sizeof(virtio));
	path_of("net_e1000", e1000, sizeof(e1000));
	assert_true(eal_driver_serves(virtio, VIRTIO_VENDOR, VIRTIO_NET));
	assert_false(eal_driver_serves(virtio, INTEL, E1000E));
	assert_true(eal_driver_serves(e1000, INTEL, E1000E));
	assert_false(eal_driver_serves(e1000, VIRTIO_VENDOR, VIRTIO_NET));
	assert_false(eal_driver_serves("/nonexistent", INTEL, E1000E));
}

/* A file that holds @bytes. */
static bool text_serves(const char *bytes, size_t len)
{
	char path[] = "/tmp/sluice-driver-XXXXXX";
	int fd = mkstemp(path);
	bool found;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
	found = eal_driver_serves(path, 1, 2);
	unlink(path);
	return found;
}

static void description_that_is_cut_or_odd_lists_nothing(void **state)
{
	static const char good[] =
		"x\0PMD_INFO_STRING= {\"name\": \"a\", \"pci_ids\": [[1, 2, 3, 4]]}";
	static const char odd[] = "PMD_INFO_STRING= {\"pci_ids\": [1, [1], \"x\", [1, \"2\"]]}";
	static const char other[] = "PMD_INFO_STRING= {\"pci_ids\": 5}\0PMD_INFO_STRING= []";

	(void)state;
	assert_true(text_serves(good, sizeof(good)));
	assert_true(text_serves(good, sizeof(good) - 1)); /* at the very end of the file */
	for (size_t len = 0; len < sizeof(good) - 1; len++)
		assert_false(text_serves(good, len));
	assert_false(text_serves(odd, sizeof(odd)));
	assert_false(text_serves(other, sizeof(other)));
}

static int virtio_alone(void)
{
	const struct config cfg = {.port_count = 1, .ports = {{.kind = DEVICE_PCI}}};

	if (!eal_drivers_hide(&cfg, RTE_EAL_PMD_PATH))
		return 1;
	if (files_in(RTE_EAL_PMD_PATH) != 2)
		return 2;
	eal_drivers_show(RTE_EAL_PMD_PATH);
	if (files_in(RTE_EAL_PMD_PATH) < 10)
		return 3;
	if (!is_loaded("librte_net_virtio.so") &&
		!is_loaded(RTE_EAL_PMD_PATH "/librte_net_virtio.so"))
		return 4;
	return is_loaded(RTE_EAL_PMD_PATH "/librte_net_e1000.so") ? 5 : 0;
}

static void only_the_driver_of_the_device_is_loaded(void **state)
{
	int rc = in_child(virtio_alone);

	(void)state;
	if (rc == 77)
		skip();
	assert_int_equal(rc, 0);
}

static int nothing_hidden(const struct config *cfg)
{
	if (eal_drivers_hide(cfg, RTE_EAL_PMD_PATH))
		return 1;
	return files_in(RTE_EAL_PMD_PATH) < 10 ? 2 : 0;
}

static int unknown_device(void)
{
	const struct config cfg = {.port_count = 1, .ports = {{.kind = DEVICE_PCI}}};

	pci_device = 0xfffe;
	return nothing_hidden(&cfg);
}

static int mounts_of_others(void)
{
	const struct config cfg = {.port_count = 1, .ports = {{.kind = DEVICE_AF_PACKET}}};

	is_own = false;
	return nothing_hidden(&cfg);
}

static void nothing_is_hidden_when_in_doubt(void **state)
{
	const struct config cfg = {.port_count = 0};
	int rc = in_child(unknown_device);

	(void)state;
	assert_false(eal_drivers_hide(&cfg, NULL));
	assert_false(eal_drivers_hide(&cfg, "/nonexistent"));
	assert_false(eal_drivers_hide(&cfg, "/proc/self")); /* a directory without drivers */
	if (rc == 77)
		skip();
	assert_int_equal(rc, 0);
	assert_int_equal(in_child(mounts_of_others), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_is_found_in_the_driver_that_lists_it),
		cmocka_unit_test(description_that_is_cut_or_odd_lists_nothing),
		cmocka_unit_test(only_the_driver_of_the_device_is_loaded),
		cmocka_unit_test(nothing_is_hidden_when_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
