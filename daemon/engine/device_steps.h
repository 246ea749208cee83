/*
 * device_steps.h - what the steps of a device's attach and detach are made of
 */
#ifndef DAEMON_ENGINE_DEVICE_STEPS_H
#define DAEMON_ENGINE_DEVICE_STEPS_H

#include <netinet/in.h>
#include "daemon/engine/device_impl.h"

#define STOP_MS_MAX  30000 /* of silence, for a device that is going */
#define DRAIN_MS_MAX 10000 /* for the workers, to answer what is in flight and to be done */

/* device.c: the step a device is at, its deadline, and what follows. Control thread, as all here.
 */
void device_poll(struct devices *ds, struct device *d, uint64_t now_us);
/* device_teardown.c */
void device_step_set(struct device *d, enum device_step step, uint64_t now_us, uint64_t ms);
/* Answers the request for the attach or detach, once; d->error goes with it. */
void device_done(struct device *d, int rc, const char *device);
/* Takes the way back, from wherever attach had come. */
void device_teardown(struct devices *ds, struct device *d, uint64_t now_us);

/* device_ask.c: may the device be stopped? From STEP_SERVE or STEP_ASK to the latter. */
void device_ask_begin(struct devices *ds, struct device *d, bool is_leaving, uint64_t now_us);
void device_ask_poll(struct devices *ds, struct device *d, uint64_t now_us);
/* Out: -EBUSY, with the user and what to do in @err. */
int device_is_used(const struct device *d, const struct ublk_user *user, struct error *err);
bool device_is_serving(const struct device *d);

/*
 * device_servers.c. Begin parses the URIs and asks for their hosts; done answers whether there is
 * nothing left to wait for; end forgets what was asked. Choose sets the port and plan->servers; 0,
 * or -EHOSTUNREACH or -ENETUNREACH with @err. Follow, while it serves: names are resolved again
 * when no connection is left.
 */
int device_names_begin(struct devices *ds, struct device *d, uint64_t now_us, struct error *err);
bool device_names_done(struct devices *ds, struct device *d, uint64_t now_us);
void device_names_end(struct devices *ds, struct device *d);
int device_servers_choose(struct devices *ds, struct device *d, struct error *err);
void device_servers_follow(struct devices *ds, struct device *d, uint64_t now_us);
/* A port that was not tried and reaches an address of @d's, which is written to @text; or -1. */
int device_other_port(
	const struct devices *ds, const struct device *d, char text[INET6_ADDRSTRLEN]);

/*
 * device_port.c. Next, while @d is attached and no server came to serve it: d->error says why; or
 * if another port reaches some, logs it, sends the channels away, and answers true.
 */
bool device_port_next(struct devices *ds, struct device *d);

/*
 * device_ublk.c. Shape and staging before the volume is made; make once it is READY, which goes on
 * until made answers 0, or -errno with d->error; end when the workers let go.
 */
int device_ublk_shape(struct device *d, const struct ublk_state *recover, struct error *err);
int device_ublk_staging(
	const struct device *d, struct channel *ch, struct volume_config *vc, struct error *err);
int device_ublk_make(struct devices *ds, struct device *d, const struct block_limits *limits);
/*
 * The kernel answers START_DEV when it has read the partition table through our queues, and
 * STOP_DEV when the last request came home. Silent: neither the step began nor a reply to any
 * channel came within the last @ms; 60 s, if more, while requests wait for a server that is
 * connected. Start_late fills in d->error. Out: -ETIMEDOUT.
 */
bool device_ublk_silent(const struct device *d, uint64_t now_us, uint64_t ms);
int device_ublk_start_late(struct device *d, uint64_t ms);
int device_ublk_made(struct devices *ds, struct device *d);
/* Started: is it at its path? 0, or -errno with d->error; for one taken over only a log line. */
int device_ublk_node(struct device *d);
bool device_ublk_may_stay(const struct device *d); /* is there a device that can outlive us */
/* While it serves: looks now and then whether the device was given a scheduler. */
void device_ublk_watch(struct device *d, uint64_t now_us);
void device_ublk_degraded(const struct device *d, const char *scheduler, char *out, size_t bytes);
/* 0, or -errno with d->error where the kernel keeps a device that was to go; -EAGAIN: deleted()
 * goes on until it answers something else. */
int device_ublk_end(struct devices *ds, struct device *d);
int device_ublk_deleted(struct devices *ds, struct device *d);

/* device_make.c: resolves, reserves, creates. On failure device_free() undoes what was done. */
int device_plan(struct devices *ds, struct device *d, uint64_t now_us, struct error *err);
int device_make(struct devices *ds, struct device *d, struct error *err);
/* Once the workers have released it: what device_make() made is freed, and it can be made again. */
void device_unmake(struct devices *ds, struct device *d);
void device_free(struct devices *ds, struct device *d);

/* device_linger.c */
/* Takes memory that mbufs may still point into; NULL is fine. */
void devices_buf_put_aside(struct devices *ds, struct stream_buf *buf);
/* Frees what no mbuf points into any more; all of it when @all (the ports are closed). */
void devices_linger_poll(struct devices *ds, bool all);
bool devices_linger_has_room(const struct devices *ds);

#endif
