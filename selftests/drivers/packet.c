// SPDX-License-Identifier: GPL-2.0
/* The receive ring of a packet socket, which sees no packets. */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "memsafe_driver.h"
#include "memsafe_module.h"

static int packet_socket(void)
{
	/* Protocol 0 receives nothing. */
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static const char *packet_needs(void)
{
	int fd;

	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	fd = packet_socket();
	if (fd < 0 && load_module("af_packet", ""))
		return "CONFIG_PACKET=m";
	close(fd);
	return NULL;
}

static int packet_open(struct driver_object *object)
{
	struct tpacket_req ring = {
		.tp_block_size = getpagesize(),
		.tp_block_nr = 4,
		.tp_frame_size = getpagesize() / 2,
		.tp_frame_nr = 8,
	};

	object->size = ring.tp_block_size * ring.tp_block_nr;
	object->fd = packet_socket();
	/* __sock_create() and packet_create() have words of their own for it. */
	if (object->fd < 0)
		return errno == ENFILE || errno == ENOBUFS ? ENOMEM : errno;
	return driver_opened(object,
			     setsockopt(object->fd, SOL_PACKET, PACKET_RX_RING,
					&ring, sizeof(ring)));
}

static struct memsafe_driver packet = {
	.name = "packet",
	.needs = packet_needs,
	.open = packet_open,
	/* packet_mmap(), net/packet/af_packet.c: all of it or nothing. */
	.part = EINVAL,
	.past_end = EINVAL,
	/* vm_insert_page() for all of them; VM_DONTEXPAND is not set. */
	.flags = DRIVER_AT_ONCE | DRIVER_DUMPED,
};
MEMSAFE_DRIVER(packet);
