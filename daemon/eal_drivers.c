/*
 * eal_drivers.c - DPDK's drivers, loaded by need
 *
 * A dynamically linked DPDK loads every driver in its directory, about 130 of them with OpenSSL,
 * libIPSec_MB and whatever else they link, for NICs, crypto devices and event devices that this
 * machine does not have. All memory of the daemon is locked, so each page of them counts: 54 MiB on
 * Debian 12, a quarter of a daemon with one volume.
 *
 * There is no option to switch that off. So the drivers that are needed are loaded here, first,
 * and while rte_eal_init() runs an empty file system lies over the directory, in the daemon's own
 * mount namespace, where no other process sees it. The buses and mempool ops are needed always;
 * af_xdp has its driver; for a PCI device it is the network driver whose PMD_INFO_STRING lists the
 * device's id.
 *
 * When anything is in doubt nothing is hidden, and DPDK does what it does by itself.
 */
#include "daemon/eal_drivers.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config/config.h"
#include "config/host/host.h"
#include "config/log.h"

#define PATH_BYTES 512
#define INFO_MARK  "PMD_INFO_STRING= "
#define DRIVER_MAX 1024 /* entries of the directory that are looked at */

/* The part of a driver's file name that is its own: "librte_NAME.so.23.0". */
#define FILE_PREFIX "librte_"

static const char *const always[] = {"bus_vdev", "bus_pci", "mempool_ring", "mempool_stack"};

/* One driver's description: {"name": "net_virtio", "pci_ids": [[6900, 4096, 65535, 65535], ...]}.
 * Subsystem ids are not compared: a driver more is harmless. */
static bool info_lists(const char *text, size_t len, uint16_t vendor, uint16_t device)
{
	json_t *info = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, NULL), *id;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(info, "pci_ids"), i, id) found |=
		json_integer_value(json_array_get(id, 0)) == vendor &&
		json_integer_value(json_array_get(id, 1)) == device;
	json_decref(info);
	return found;
}

static bool image_lists(const char *image, size_t len, uint16_t vendor, uint16_t device)
{
	const char *at = image, *end = image + len;

	while ((at = memmem(at, (size_t)(end - at), INFO_MARK, strlen(INFO_MARK)))) {
		at += strlen(INFO_MARK);
		if (info_lists(at, strnlen(at, (size_t)(end - at)), vendor, device))
			return true;
	}
	return false;
}

bool eal_driver_serves(const char *path, uint16_t vendor, uint16_t device)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *image;
	bool found;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) || st.st_size == 0) {
		close(fd);
		return false;
	}
	image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (image == MAP_FAILED)
		return false;
	found = image_lists(image, (size_t)st.st_size, vendor, device);
	munmap(image, (size_t)st.st_size);
	return found;
}

/* Is @file "librte_@name.so…"? */
static bool is_called(const char *file, const char *name)
{
	size_t len = strlen(name);

	return strncmp(file, FILE_PREFIX, strlen(FILE_PREFIX)) == 0 &&
	       strncmp(file + strlen(FILE_PREFIX), name, len) == 0 &&
	       strncmp(file + strlen(FILE_PREFIX) + len, ".so", 3) == 0;
}

static bool is_network(const char *file)
{
	return strncmp(file, FILE_PREFIX "net_", strlen(FILE_PREFIX "net_")) == 0;
}

/* Whether port @p needs the driver in @file, which lies at @path. */
static bool port_needs(const struct config_port *p, const char *file, const char *path)
{
	struct error err = {""};
	struct host_pci pci;

	if (p->kind == DEVICE_AF_XDP)
		return is_called(file, "net_af_xdp");
	if (p->kind != DEVICE_PCI || !is_network(file) || host_pci_read(p->device, &pci, &err))
		return false;
	return eal_driver_serves(path, pci.vendor, pci.device);
}

struct need {
	unsigned base;	       /* of always[], how many were found */
	bool is_met[PORT_MAX]; /* a driver for this port was found */
};

/* Loads @file if anything of @cfg needs it. False: it is needed and does not load. */
static bool consider(const struct config *cfg, const char *dir, const char *file, struct need *need)
{
	char path[PATH_BYTES];
	bool is_needed = false;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	for (unsigned i = 0; i < sizeof(always) / sizeof(*always); i++)
		if (is_called(file, always[i])) {
			is_needed = true;
			need->base++;
		}
	for (unsigned i = 0; i < cfg->port_count; i++)
		if (port_needs(&cfg->ports[i], file, path))
			is_needed = need->is_met[i] = true;
	if (!is_needed || dlopen(path, RTLD_NOW))
		return true;
	log_debug("%s", dlerror());
	return false;
}

/* Each driver once: the others of its three names are links. */
static bool all_loaded(const struct config *cfg, const char *dir)
{
	DIR *d = opendir(dir);
	struct need need = {0};
	struct dirent *entry;
	struct stat st;
	bool is_good = true;

	if (!d)
		return false;
	for (unsigned n = 0; is_good && n < DRIVER_MAX && (entry = readdir(d)); n++)
		if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			is_good = consider(cfg, dir, entry->d_name, &need);
	closedir(d);
	for (unsigned i = 0; i < cfg->port_count; i++)
		is_good &= cfg->ports[i].kind == DEVICE_AF_PACKET || need.is_met[i];
	return is_good && need.base == sizeof(always) / sizeof(*always);
}

bool eal_drivers_hide(const struct config *cfg, const char *dir)
{
	if (!dir || !host_mounts_are_own() || !all_loaded(cfg, dir))
		return false;
	return mount("none", dir, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		       "size=4k,nr_inodes=2,mode=0755") == 0;
}

void eal_drivers_show(const char *dir)
{
	if (umount2(dir, MNT_DETACH))
		log_debug("%s stays hidden: %s", dir, strerror(errno));
}
