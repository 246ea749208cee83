/*
 * nbd_proto.h - the NBD protocol's numbers and wire structs, and nothing else
 *
 * Everything on the wire is big-endian and packed; the parsers swap once. Names follow the NBD
 * protocol document (proto.md): fixed newstyle handshake, simple and structured replies.
 */
#ifndef NBD_CLIENT_NBD_PROTO_H
#define NBD_CLIENT_NBD_PROTO_H

#include <assert.h>
#include <linux/types.h>

#define NBD_MAGIC_INIT	    0x4e42444d41474943ull /* "NBDMAGIC" */
#define NBD_MAGIC_OPTION    0x49484156454f5054ull /* "IHAVEOPT" */
#define NBD_MAGIC_OLDSTYLE  0x00420281861253ull
#define NBD_MAGIC_OPT_REPLY 0x0003e889045565a9ull
#define NBD_MAGIC_REQUEST   0x25609513u
#define NBD_MAGIC_SIMPLE    0x67446698u
#define NBD_MAGIC_CHUNK	    0x668e33efu

/* Handshake flags, server's and client's. */
#define NBD_HS_FIXED_NEWSTYLE 1u
#define NBD_HS_NO_ZEROES      2u

enum nbd_option {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
};

#define NBD_REP_ERROR_BIT 0x80000000u
enum nbd_option_reply {
	NBD_REP_ACK = 1,
	NBD_REP_SERVER = 2,
	NBD_REP_INFO = 3,
	NBD_REP_ERR_UNSUP = (int)(NBD_REP_ERROR_BIT + 1),
	NBD_REP_ERR_POLICY = (int)(NBD_REP_ERROR_BIT + 2),
	NBD_REP_ERR_INVALID = (int)(NBD_REP_ERROR_BIT + 3),
	NBD_REP_ERR_PLATFORM = (int)(NBD_REP_ERROR_BIT + 4),
	NBD_REP_ERR_TLS_REQD = (int)(NBD_REP_ERROR_BIT + 5),
	NBD_REP_ERR_UNKNOWN = (int)(NBD_REP_ERROR_BIT + 6),
	NBD_REP_ERR_SHUTDOWN = (int)(NBD_REP_ERROR_BIT + 7),
	NBD_REP_ERR_BLOCK_SIZE_REQD = (int)(NBD_REP_ERROR_BIT + 8),
	NBD_REP_ERR_TOO_BIG = (int)(NBD_REP_ERROR_BIT + 9),
};

enum nbd_info {
	NBD_INFO_EXPORT = 0,
	NBD_INFO_NAME = 1,
	NBD_INFO_DESCRIPTION = 2,
	NBD_INFO_BLOCK_SIZE = 3
};

/* Transmission flags of an export. */
#define NBD_FLAG_HAS_FLAGS	   (1u << 0)
#define NBD_FLAG_READ_ONLY	   (1u << 1)
#define NBD_FLAG_SEND_FLUSH	   (1u << 2)
#define NBD_FLAG_SEND_FUA	   (1u << 3)
#define NBD_FLAG_ROTATIONAL	   (1u << 4)
#define NBD_FLAG_SEND_TRIM	   (1u << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBD_FLAG_SEND_DF	   (1u << 7)
#define NBD_FLAG_CAN_MULTI_CONN	   (1u << 8)
#define NBD_FLAG_SEND_CACHE	   (1u << 10)
#define NBD_FLAG_SEND_FAST_ZERO	   (1u << 11)

enum nbd_cmd {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_WRITE_ZEROES = 6,
};
#define NBD_CMD_FLAG_FUA       (1u << 0)
#define NBD_CMD_FLAG_NO_HOLE   (1u << 1)
#define NBD_CMD_FLAG_FAST_ZERO (1u << 4)

#define NBD_CHUNK_FLAG_DONE 1u
#define NBD_CHUNK_ERROR_BIT 0x8000u
enum nbd_chunk_type {
	NBD_CHUNK_NONE = 0,
	NBD_CHUNK_OFFSET_DATA = 1,
	NBD_CHUNK_OFFSET_HOLE = 2,
	NBD_CHUNK_ERROR = 0x8001,
	NBD_CHUNK_ERROR_OFFSET = 0x8002,
};

/* Errors on the wire; the numbers are Linux's for each name but are fixed by the protocol. */
enum nbd_errno {
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_EOVERFLOW = 75,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

#define NBD_PACKED __attribute__((packed))

struct nbd_wire_greeting {
	__be64 magic, style;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_greeting) == 16, "wire");

struct nbd_wire_option {
	__be64 magic;
	__be32 option, length;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_option) == 16, "wire");

struct nbd_wire_option_reply {
	__be64 magic;
	__be32 option, type, length;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_option_reply) == 20, "wire");

struct nbd_wire_info_export {
	__be16 type;
	__be64 size;
	__be16 flags;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_info_export) == 12, "wire");

struct nbd_wire_info_block {
	__be16 type;
	__be32 min, pref, max;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_info_block) == 14, "wire");

/* Answer to EXPORT_NAME; 124 zeroes follow unless NO_ZEROES was agreed on. */
struct nbd_wire_export {
	__be64 size;
	__be16 flags;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_export) == 10, "wire");
#define NBD_EXPORT_PAD_BYTES 124

struct nbd_wire_request {
	__be32 magic;
	__be16 flags, type;
	__be64 cookie, offset;
	__be32 length;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_request) == 28, "wire");

struct nbd_wire_simple {
	__be32 magic, error;
	__be64 cookie;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_simple) == 16, "wire");

struct nbd_wire_chunk {
	__be32 magic;
	__be16 flags, type;
	__be64 cookie;
	__be32 length;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_chunk) == 20, "wire");

struct nbd_wire_hole {
	__be64 offset;
	__be32 bytes;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_hole) == 12, "wire");

struct nbd_wire_error {
	__be32 error;
	__be16 message_bytes;
} NBD_PACKED;
static_assert(sizeof(struct nbd_wire_error) == 6, "wire");

#endif
