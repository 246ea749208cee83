/*
 * config.h - what the user wrote, checked and with defaults filled in
 *
 * Plain values, no pointers into the YAML: a struct config can be copied, compared and printed.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include "config/error.h"
#include "config/limits.h"
#include "config/log.h"

#define CONFIG_PATH_DEFAULT    "/etc/sluice/sluice.yaml"
#define CONFIG_RUN_DIR_DEFAULT "/run/sluice"
#define CONFIG_VOLUMES_DIR_DEFAULT "/etc/sluice/volumes.d"
#define CONFIG_SOCKET_DEFAULT  CONFIG_RUN_DIR_DEFAULT "/control.sock"

enum config_device_kind { DEVICE_PCI, DEVICE_AF_PACKET, DEVICE_AF_XDP };
enum config_exception { EXCEPTION_OFF, EXCEPTION_TAP, EXCEPTION_AUTO };
enum config_on_dead { ON_DEAD_HOLD, ON_DEAD_FAIL };
/* What is done about writes a server answered and did not flush (docs/durability.md). */
enum config_unstable { UNSTABLE_TRUST, UNSTABLE_THROUGH };
enum config_copy { COPY_AUTO, COPY_DEFAULT, COPY_USER };

struct config_port {
	char name[NAME_BYTES_MAX];
	enum config_device_kind kind;
	char device[NAME_BYTES_MAX]; /* full PCI address 0000:00:03.0, or the interface's name */
	char address[PORT_ADDRESS_MAX]
		    [64]; /* CIDR, IPv4 or IPv6; empty = taken from the kernel interface */
	unsigned address_count;
	char gateway[64], gateway6[64];
	uint16_t mtu; /* 0 = the interface's, else 1500 */
	enum config_exception exception;
	char exception_iface[16]; /* the kernel's end; empty = sluiceN */
	uint16_t queues;  /* default 1 */
	uint16_t rx_ring; /* default RX_RING_DEFAULT */
	uint16_t cpu[WORKER_MAX]; /* worker cores; default 0.. */
	unsigned cpu_count;
};

struct config_reserve {
	int64_t size; /* mbufs held back; -1 = the sum (default); 0 = no reserve, for comparison */
	uint32_t safety_pct; /* "safety: 1.25" in the file */
	uint32_t normal;     /* normal mbufs beside the reserve; 0 = default */
};

struct config_volume {
	char name[NAME_BYTES_MAX]; /* default: from the export's name, else volN */
	char uris[VOLUME_URI_MAX][URI_BYTES_MAX];
	unsigned uri_count;
	uint16_t connections; /* 0 (default): one for each queue of the port */
	uint16_t queue_depth; /* default QUEUE_DEPTH_DEFAULT */
	uint32_t io_bytes_max;
	enum config_on_dead on_dead;
	enum config_unstable unstable;
	uint32_t
		dead_ms; /* of on_dead: fail: how long to try, default 30000; hold never gives up */
	uint32_t request_ms;   /* deadline of one request; 0 (default) = none */
	uint32_t dead_peer_ms; /* silence of the peer's TCP that ends a connection, default 15000 */
	uint32_t connect_ms;
	enum config_copy copy;
	bool read_only;
	char cc[16];
	char warning[128]; /* of config_volume_from_uri(): what of the URI is ignored; else empty */
};

struct config_rule {
	char address[64]; /* CIDR or empty */
	uint16_t port, ethertype;
};

struct config {
	struct config_port ports[PORT_MAX];
	unsigned port_count;
	struct config_volume volumes[VOLUME_MAX];
	unsigned volume_count;
	struct config_reserve reserve;
	struct config_rule protect[PROTECT_MAX];
	unsigned protect_count;
	char socket[108]; /* default control.sock in run_dir */
	char run_dir[96]; /* default /run/sluice: lock, state */
	char volumes_dir[256]; /* default /etc/sluice/volumes.d: a file for each volume that
				  `--save` wrote */
	uint32_t memory_mib; /* DPDK memory; 0 = computed */
	uint32_t memory_plan_mib; /* what the daemon has computed, for checks; 0 = not computed. Not
				     of the file */
	bool use_hugepages;  /* where the machine has them free; default true */
	bool is_hugepages_given; /* the file says so; else a PCI port asks for them by itself */
	enum log_level log_level;
};

void config_defaults(struct config *cfg);

/*
 * Reads @path. Out: 0, or -EINVAL/-ENOENT… with @err naming file, line and remedy:
 * "/etc/sluice.yaml:7: ports[0].mtu: 90000 is more than 9000; …". Unknown keys are errors.
 */
int config_load(const char *path, struct config *cfg, struct error *err);

/*
 * One volume from the options of `sluice attach`: @uris, and for each other key of a volume in the
 * file what @get answers for it, NULL if it is not given. 0, or -EINVAL with @err: "queue_depth:
 * 70000 is more than …".
 */
int config_volume_from_options(const char *const *uris, unsigned uri_count,
	const char *(*get)(void *ctx, const char *key), void *ctx, struct config_volume *out,
	struct error *err);

/* The list of volumes: by name, NULL if there is none; in the place of its namesake or at the end;
 * out of it. */
const struct config_volume *config_volume_find(const struct config *cfg, const char *name);
void config_volume_put(struct config *cfg, const struct config_volume *volume);
void config_volume_drop(struct config *cfg, const char *name);

/*
 * Writes @volume to @dir/NAME.yaml, with every key, so that config_load() gives the same volume
 * again; the directory is made if it is not there. The file is whole or not there, also after a
 * power cut. 0, or -errno with @err. Control thread: waits for the disk.
 */
int config_volume_save(const char *dir, const struct config_volume *volume, struct error *err);
/* Removes that file. 0, -ENOENT if there is none, or -errno with @err. */
int config_volume_unsave(const char *dir, const char *name, struct error *err);

/* One volume from a URI as `sluice attach URI` gives it, with default settings. 0 or -EINVAL. */
int config_volume_from_uri(const char *uri, struct config_volume *out, struct error *err);

/*
 * The one rule for names of volumes and ports, in the file, on the command line and over the
 * control socket: 1 to NAME_BYTES_MAX - 1 letters, digits, '.', '_' and '-', the first a letter or
 * digit or '_'. So a name is never a path, and fits a line of a state file. 0, or -EINVAL with the
 * sentence in
 * @err.
 */
int config_name_check(const char *name, struct error *err);

/* "10.0.0.2/24" or "fd00::2/64" → family, address in network order, bits. 0 or -EINVAL. */
int config_cidr_parse(const char *text, uint8_t *family, uint8_t addr[16], uint8_t *prefix_bits);

#endif
