/*
 * machine.h - a machine that is not there: /sys, /proc and /dev as a test wants them
 *
 * A directory tree under /tmp that host_file.c takes for "/" (SLUICE_SYSFS_ROOT). Tests that need
 * it skip themselves in builds without fault injection, where there is no such door.
 */
#ifndef TESTS_UNIT_CONFIG_MACHINE_H
#define TESTS_UNIT_CONFIG_MACHINE_H

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "config/host/host.h"

#define NIC	  "0000:00:03.0"
#define NEIGHBOUR "0000:00:04.0"

static char machine_root[] = "/tmp/sluice-machine.XXXXXX";

static const char *machine_path(const char *path, char *full)
{
	snprintf(full, 512, "%s%s", machine_root, path);
	return full;
}

/* Makes the directories above @path, and @path too if it ends in '/'. */
static void machine_dirs(const char *path)
{
	char full[512];

	machine_path(path, full);
	for (char *c = full + strlen(machine_root) + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*c = '/';
	}
}

static void machine_file(const char *path, const char *text)
{
	char full[512];
	FILE *file;

	machine_dirs(path);
	file = fopen(machine_path(path, full), "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void machine_link(const char *path, const char *target)
{
	char full[512];

	machine_dirs(path);
	assert_int_equal(symlink(target, machine_path(path, full)), 0);
}

static void machine_without(const char *path)
{
	char full[512];

	assert_int_equal(remove(machine_path(path, full)), 0);
}

static int machine_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int machine_end(void **state)
{
	unsetenv("SLUICE_SYSFS_ROOT");
	return nftw(machine_root, machine_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A NIC in its slot, on @driver (NULL: none), carrying @iface (NULL: none). */
static void machine_nic(const char *address, const char *driver, const char *iface)
{
	char path[256], target[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vendor", address);
	machine_file(path, "0x8086\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/device", address);
	machine_file(path, "0x10d3\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", address);
	machine_file(path, "0x020000\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
	snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver ? driver : "");
	if (driver)
		machine_link(path, target);
	snprintf(
		path, sizeof(path), "/sys/bus/pci/devices/%s/net/%s/", address, iface ? iface : "");
	if (iface)
		machine_dirs(path);
}

/* Puts it into IOMMU group 7. */
static void machine_iommu(const char *address)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	machine_link(path, "../../../../kernel/iommu_groups/7");
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/7/devices/%s", address);
	machine_file(path, "");
}

/* A machine on which sluiced can run: NIC on vfio-pci behind an IOMMU, hugepages, ublk. */
static int machine_start(void **state)
{
	strcpy(strrchr(machine_root, '.'), ".XXXXXX");
	if (!mkdtemp(machine_root) || setenv("SLUICE_SYSFS_ROOT", machine_root, 1))
		return -1;
	machine_nic(NIC, "vfio-pci", NULL);
	machine_dirs("/sys/bus/pci/drivers/vfio-pci/");
	machine_iommu(NIC);
	machine_file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512\n");
	machine_file("/proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
	machine_file("/proc/sys/kernel/osrelease", "6.12.0-test\n");
	machine_file("/dev/ublk-control", "");
	machine_file("/dev/net/tun", "");
	return 0;
}

#endif
