/*
 * ublk_abi.h - the kernel's ublk interface, as far as we use it
 *
 * The structures come from the system's <linux/ublk_cmd.h>. Debian 12 has 6.1's, which knows five
 * feature flags, while the kernel that runs may be any; so what came later is stated here, and
 * the kernel is asked at run time what it has. Numbers are the kernel's and never change.
 *
 * Kernel  what it brought
 * 6.1     USER_RECOVERY, USER_RECOVERY_REISSUE
 * 6.4     commands encoded like ioctls; the bare numbers may be compiled out since
 * 6.5     USER_COPY, GET_FEATURES
 * 6.13    USER_RECOVERY_FAIL_IO
 * 6.16    UPDATE_SIZE, QUIESCE, PER_IO_DAEMON
 * 7.0     SAFE_STOP_DEV: the command TRY_STOP_DEV
 */
#ifndef NBD_CLIENT_UBLK_UBLK_ABI_H
#define NBD_CLIENT_UBLK_UBLK_ABI_H

#include <assert.h>
#include <linux/ioctl.h>
#include <linux/ublk_cmd.h>

/* Numbers of commands, before encoding. */
#define UBLK_NR_GET_FEATURES 0x13
#define UBLK_NR_UPDATE_SIZE  0x15
#define UBLK_NR_QUIESCE_DEV  0x16
#define UBLK_NR_TRY_STOP_DEV 0x17

/* How GET_FEATURES takes its buffer. */
#define UBLK_FEATURES_BYTES 8

#ifndef UBLK_F_UNPRIVILEGED_DEV
#define UBLK_F_UNPRIVILEGED_DEV (1ULL << 5)
#endif
#ifndef UBLK_F_CMD_IOCTL_ENCODE
#define UBLK_F_CMD_IOCTL_ENCODE (1ULL << 6)
#endif
#ifndef UBLK_F_USER_COPY
#define UBLK_F_USER_COPY (1ULL << 7)
#endif
#ifndef UBLK_F_ZONED
#define UBLK_F_ZONED (1ULL << 8)
#endif
#ifndef UBLK_F_USER_RECOVERY_FAIL_IO
#define UBLK_F_USER_RECOVERY_FAIL_IO (1ULL << 9)
#endif
#ifndef UBLK_F_UPDATE_SIZE
#define UBLK_F_UPDATE_SIZE (1ULL << 10)
#endif
#ifndef UBLK_F_QUIESCE
#define UBLK_F_QUIESCE (1ULL << 12)
#endif
#ifndef UBLK_F_PER_IO_DAEMON
#define UBLK_F_PER_IO_DAEMON (1ULL << 13)
#endif

#ifndef UBLK_F_SAFE_STOP_DEV
#define UBLK_F_SAFE_STOP_DEV (1ULL << 17)
#endif

#ifndef UBLK_S_DEV_FAIL_IO
#define UBLK_S_DEV_FAIL_IO 3
#endif

/* File position on /dev/ublkcN of a byte of a request's data (USER_COPY). */
#define UBLK_POS_TAG_SHIFT   25 /* 32 MiB a request */
#define UBLK_POS_QUEUE_SHIFT 41 /* 64 Ki tags a queue */

/* Direction bits as the kernel's header has them: it compares GET_FEATURES whole. */
#define UBLK_ENCODE_R(nr)  ((__u32)_IOR('u', nr, struct ublksrv_ctrl_cmd))
#define UBLK_ENCODE_WR(nr) ((__u32)_IOWR('u', nr, struct ublksrv_ctrl_cmd))
#define UBLK_ENCODE_IO(nr) ((__u32)_IOWR('u', nr, struct ublksrv_io_cmd))

static_assert(sizeof(struct ublksrv_ctrl_cmd) == 32, "fits the 80 bytes of a large sqe");
static_assert(sizeof(struct ublksrv_io_cmd) == 16, "fits the 16 bytes of an ordinary sqe");
static_assert(sizeof(struct ublksrv_io_desc) == 24, "one descriptor in the mapped queue");
static_assert(sizeof(struct ublksrv_ctrl_dev_info) == 64, "ADD_DEV and GET_DEV_INFO");

#endif
