/*
 * fake_ublk_kernel.h - a ublk driver that answers control commands when it is told to
 *
 * It stands in the place of ublk_ctl.c and ublk_dev.c. Time is a number that only the test moves:
 * a call that waited would never return, so each test is also one that nothing waits.
 */
#ifndef TESTS_UNIT_NBD_CLIENT_FAKE_UBLK_KERNEL_H
#define TESTS_UNIT_NBD_CLIENT_FAKE_UBLK_KERNEL_H

#include "nbd_client/ublk/ublk_priv.h"

#define DEV_ID	 3
#define NEVER_US UINT64_MAX

struct fake_ublk_kernel {
	struct ublksrv_ctrl_dev_info info;
	struct ublk_params params;
	int rc[256];	       /* what the command of that number answers */
	uint64_t late_us[256]; /* … after so long; NEVER_US: not before the test says so */
	bool is_uncancellable;
	uint64_t clear_flags;  /* ADD_DEV drops these without a word */
	int node_rc;	       /* what lies at the device's path */
	int queues_rc;	       /* opening and mapping */
	bool is_queue_running; /* a queue was started and has not stopped */
	unsigned busy;	       /* so often START_USER_RECOVERY answers EBUSY */
	/* what came of it */
	unsigned calls[256], opened, closed, devices;
	uint8_t last;
};
extern struct fake_ublk_kernel kernel;
extern uint64_t fake_now_us;

/* A driver without commands under way and a device that fits the configuration. Out: that. */
struct ublk_config fake_ublk_kernel_reset(void);
void fake_ublk_kernel_answer(void); /* now: what never came back comes back */
/* Polls, and lets time pass while it is not done. Out: what it was in the end; -EAGAIN: after
 * @us_max it still was not. */
typedef int fake_ublk_poll_fn(struct ublk *u, struct error *err);
int fake_ublk_until(struct ublk *u, fake_ublk_poll_fn *poll, uint64_t us_max, struct error *err);

#endif
