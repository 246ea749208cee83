/*
 * eal.c - DPDK's environment, started from our configuration and hidden behind it
 *
 * Users write YAML; EAL arguments should not be needed to mount a disk. We build the argument
 * vector ourselves: the PCI devices that are ours and no others (a bare EAL grabs every NIC bound
 * to vfio), a vdev for each af_xdp interface, IOVA as VA so that one address is good for us and
 * for the IOMMU, no shared files (two daemons must not meet in /dev/hugepages). Of its drivers
 * only those are loaded that our devices need (eal_drivers.c).
 *
 * Hugepages are used when there are enough of them; without, ordinary memory, which mlockall keeps
 * resident. The main lcore floats over all CPUs we may use: it is the control thread, workers are
 * threads of our own.
 */
#include "daemon/eal.h"
#include "daemon/eal_drivers.h"
#include "daemon/eal_log.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include "config/host/host.h"
#include "daemon/engine/engine_info.h"

#define EAL_ARG_MAX   64
#define EAL_ARG_BYTES 128

struct eal_args {
	char text[EAL_ARG_MAX][EAL_ARG_BYTES];
	char *argv[EAL_ARG_MAX + 1];
	int argc;
};

__attribute__((format(printf, 2, 3))) static void arg_add(struct eal_args *a, const char *fmt, ...)
{
	va_list ap;

	assert(a->argc < EAL_ARG_MAX);
	va_start(ap, fmt);
	vsnprintf(a->text[a->argc], EAL_ARG_BYTES, fmt, ap);
	va_end(ap);
	a->argv[a->argc] = a->text[a->argc];
	a->argc++;
	a->argv[a->argc] = NULL;
}

static void add_device(struct eal_args *a, const struct config_port *p, unsigned idx)
{
	switch (p->kind) {
	case DEVICE_PCI:
		arg_add(a, "--allow=%s", p->device);
		break;
	case DEVICE_AF_PACKET: /* a packet socket of our own: port_packet.c */
		break;
	case DEVICE_AF_XDP:
		arg_add(a, "--vdev=net_af_xdp%u,iface=%s,start_queue=0,queue_count=%u", idx,
			p->device, p->queues ? p->queues : 1);
		break;
	}
}

/* One line for the user out of what rte_eal_init left behind. */
static int init_failed(struct error *err)
{
	switch (rte_errno) {
	case EACCES:
		return error_set(err, -EACCES, "DPDK may not start: run sluiced as root");
	case ENOMEM:
		return error_set(err, -ENOMEM,
			"DPDK found no memory: more hugepages "
			"(echo 256 > /proc/sys/vm/nr_hugepages) or a smaller queue_depth");
	default:
		return error_set(err, -EIO, "DPDK did not start: %s", rte_strerror(rte_errno));
	}
}

/* Where this DPDK looks for drivers; NULL if it was linked statically and looks nowhere. */
static const char *drivers_dir(void)
{
	Dl_info at;

	if (!dladdr((void *)rte_eal_init, &at) || !at.dli_fname || !strstr(at.dli_fname, ".so"))
		return NULL;
	return RTE_EAL_PMD_PATH;
}

/* Out: 0, or -1 with rte_errno. */
static int init(struct eal_args *args, const char *drivers)
{
	int rc = rte_eal_init(args->argc, args->argv);

	if (drivers)
		eal_drivers_show(drivers);
	return rc < 0 ? -1 : 0;
}

int eal_start(const struct config *cfg, uint32_t mib, int extra_argc, char **extra_argv,
	struct engine_facts *facts, struct error *err)
{
	struct eal_args args = {0};
	uint16_t cpus[HOST_CPU_MAX];
	char cpus_text[EAL_ARG_BYTES - 16] = "0";
	unsigned cpu_count = host_cpus(cpus, HOST_CPU_MAX);
	const char *drivers;
	bool needs_pci = false, is_debug = getenv("SLUICE_EAL_LOG");
	unsigned i;

	facts->has_hugepages = cfg->use_hugepages && host_hugepages_free_mib(NULL, 0) >= mib;
	engine_memory_start(cfg, facts);
	arg_add(&args, "sluiced");
	arg_add(&args, "--iova-mode=va");
	arg_add(&args, "--no-telemetry");
	arg_add(&args, "--log-level=%s", is_debug ? "debug" : "error");
	if (cpu_count)
		host_cpus_text(cpus, cpu_count, cpus_text, sizeof(cpus_text));
	arg_add(&args, "--lcores=0@(%s)", cpus_text);
	if (facts->has_hugepages) {
		arg_add(&args, "--in-memory");
		arg_add(&args, "--socket-mem=%u", facts->memory_mib);
		if (cfg->memory_mib)
			arg_add(&args, "--socket-limit=%u", cfg->memory_mib);
	} else {
		arg_add(&args, "--no-shconf"); /* --in-memory and --no-huge exclude each other */
		arg_add(&args, "--no-huge");
		arg_add(&args, "-m");
		arg_add(&args, "%u", facts->memory_mib);
	}
	for (i = 0; i < cfg->port_count; i++) {
		add_device(&args, &cfg->ports[i], i);
		needs_pci |= cfg->ports[i].kind == DEVICE_PCI;
	}
	if (!needs_pci)
		arg_add(&args, "--no-pci");
	for (i = 0; (int)i < extra_argc && args.argc < EAL_ARG_MAX; i++)
		arg_add(&args, "%s", extra_argv[i]);
	if (!is_debug)
		eal_log_keep();
	drivers = extra_argc ? NULL : drivers_dir(); /* who gives arguments may mean any driver */
	if (drivers && !eal_drivers_hide(cfg, drivers))
		drivers = NULL;
	if (init(&args, drivers) == 0)
		return 0;
	init_failed(err);
	eal_log_append(err);
	eal_log_release();
	return -EIO;
}

void eal_stop(void)
{
	rte_eal_cleanup();
}
