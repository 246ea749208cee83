/*
 * fake_ublk.h - the kernel's block devices and the memory they write to, with settable answers
 *
 * The life of a device is that of the real one (nbd_client/ublk/ublk_dev.c), its assertions
 * included: START_DEV is answered once every queue was started, STOP_DEV once no request is in
 * flight, and a queue has stopped once its worker took every tag back. A device whose queues
 * never stopped stays in the kernel when it is destroyed, and the kernel may go on writing to
 * its buffers.
 */
#ifndef TESTS_UNIT_DAEMON_FAKE_UBLK_H
#define TESTS_UNIT_DAEMON_FAKE_UBLK_H

#include "nbd_client/ublk/ublk.h"

/* How the kernel answers; all zero: as asked. */
struct fake_kernel {
	int features_rc;
	int submit_rc;		       /* of creating or taking over: refused at once */
	int create_rc, recover_rc;     /* answered so */
	uint64_t make_us, destroy_us;  /* after so long; past UBLK_CTL_US_MAX it is too late */
	int start_submit_rc, start_rc; /* refused at once; answered so */
	int stop_submit_rc, stop_rc;
	int destroy_rc;
	bool is_start_silent, is_stop_silent; /* no answer ever */
	bool is_not_recoverable;
	int node_rc;	 /* what lies at the device's path */
	bool is_open;	 /* somebody uses the device */
	bool is_swap;	 /* active, besides */
	bool is_claimed; /* the kernel does, which no table shows */
	bool is_ask_silent, has_try_stop, is_try_silent;
	int try_rc; /* of TRY_STOP_DEV */
	char scheduler[32];
	int scheduler_rc; /* of setting it to none */
};
extern struct fake_kernel fake_kernel;
extern unsigned fake_ublks_alive;		      /* made, and neither destroyed nor left */
extern unsigned fake_asks_alive;		      /* questions not ended, claims with them */
extern unsigned fake_ublks_added, fake_ublks_deleted; /* by the kernel */
extern unsigned fake_ublks_left, fake_ublks_stuck, fake_ublks_stops;
extern struct ublk *fake_ublk_last; /* the one made last; NULL once one is gone */
extern unsigned fake_dma_alive;	    /* buffers of dma_buf_create() */
extern unsigned fake_dma_room;	    /* so many more can be made */

void fake_ublk_reset(void);
/* A device that an earlier test left in the kernel is forgotten, its buffers with it. */
void fake_ublk_kernel_ends(void);
bool fake_ublk_is_added(const struct ublk *u);
bool fake_ublk_is_starting(const struct ublk *u);
bool fake_ublk_is_going(const struct ublk *u); /* DEL_DEV is under way */
const struct ublk_config *fake_ublk_config(const struct ublk *u);

#endif
