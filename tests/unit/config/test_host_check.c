/*
 * test_host_check.c - what is missing on a machine is told with its remedy, in a sensible order
 *
 * Each test takes one thing away from a machine on which everything is right.
 */
#include <sys/resource.h>
#include <sys/wait.h>
#include "tests/unit/config/machine.h"
#include "tests/unit/between.h"

static struct config cfg;
static struct error err;

static int start(void **state)
{
#if SLUICE_FAULT_INJECTION
	config_defaults(&cfg);
	cfg.port_count = 1;
	strcpy(cfg.ports[0].name, "p");
	strcpy(cfg.ports[0].device, NIC);
	strcpy(cfg.ports[0].address[0], "10.0.0.2/24");
	cfg.ports[0].address_count = 1;
	cfg.use_hugepages = true;
	return machine_start(state);
#else
	return 0;
#endif
}

static int end(void **state)
{
#if SLUICE_FAULT_INJECTION
	return machine_end(state);
#else
	return 0;
#endif
}

/* Skips where there is no fake machine, or the test's user is not who sluiced must be. */
static void need_machine(void)
{
	if (!SLUICE_FAULT_INJECTION || geteuid() != 0)
		skip();
}

static void told(int rc, const char *what, const char *remedy)
{
	int got = host_check(&cfg, true, &err);

	if (got != rc || !strstr(err.text, what) || !strstr(err.text, remedy))
		fail_msg("wanted %d \"%s … %s\", was told %d \"%s\"", rc, what, remedy, got,
			err.text);
	assert_null(strchr(err.text, '\n'));
	assert_non_null(strstr(err.text, "; "));
}

static void ready_machine_is_good(void **state)
{
	struct host_check_line lines[HOST_CHECK_LINE_MAX];
	unsigned count;

	need_machine();
	assert_int_equal(host_check(&cfg, true, &err), 0);
	count = host_doctor(&cfg, lines, HOST_CHECK_LINE_MAX);
	assert_between(count, 6, HOST_CHECK_LINE_MAX);
	for (unsigned i = 0; i < count; i++) {
		assert_true(lines[i].is_good);
		assert_int_equal(lines[i].rc, 0);
		assert_string_not_equal(lines[i].text, "");
		assert_string_equal(lines[i].remedy, "");
	}
}

static void absent_nic_is_told(void **state)
{
	need_machine();
	strcpy(cfg.ports[0].device, "0000:00:09.0");
	told(-ENODEV, "there is no PCI device 0000:00:09.0", "lspci -D");
}

static void absent_iommu_is_told(void **state)
{
	need_machine();
	machine_without("/sys/bus/pci/devices/" NIC "/iommu_group");
	told(-ENOTSUP, "no IOMMU is on for " NIC, "intel_iommu=on (AMD: amd_iommu=on)");
	assert_non_null(strstr(err.text, "BIOS"));
}

static void noiommu_mode_is_taken_for_an_answer(void **state)
{
	need_machine();
	machine_without("/sys/bus/pci/devices/" NIC "/iommu_group");
	machine_file("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n");
	told(-ENOTSUP, "no IOMMU", "intel_iommu=on");
	machine_file("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	assert_int_equal(host_check(&cfg, true, &err), 0);
}

static void nic_on_its_kernel_driver_is_told_the_commands(void **state)
{
	need_machine();
	machine_without("/sys/bus/pci/devices/" NIC "/driver");
	machine_link("/sys/bus/pci/devices/" NIC "/driver", "../../../bus/pci/drivers/e1000e");
	machine_dirs("/sys/bus/pci/devices/" NIC "/net/eth7-not-there/");
	told(-EBUSY, NIC " is still on its kernel driver e1000e as eth7-not-there",
		"cd /sys/bus/pci && echo vfio-pci > devices/" NIC "/driver_override && "
		"echo " NIC " > devices/" NIC "/driver/unbind && echo " NIC " > drivers_probe");
	assert_null(strstr(err.text, "modprobe"));
}

static void nic_on_no_driver_is_told_shorter_commands(void **state)
{
	need_machine();
	machine_without("/sys/bus/pci/devices/" NIC "/driver");
	machine_without("/sys/bus/pci/drivers/vfio-pci");
	told(-ENODEV, NIC " has no driver",
		"modprobe vfio-pci && cd /sys/bus/pci && echo vfio-pci > devices/" NIC
		"/driver_override && echo " NIC " > drivers_probe");
	assert_null(strstr(err.text, "unbind"));
}

static void bifurcated_nic_keeps_its_driver(void **state)
{
	need_machine();
	machine_without("/sys/bus/pci/devices/" NIC "/driver");
	machine_without("/sys/bus/pci/devices/" NIC "/iommu_group");
	machine_link("/sys/bus/pci/devices/" NIC "/driver", "../../../bus/pci/drivers/mlx5_core");
	assert_int_equal(host_check(&cfg, true, &err), 0);
}

static void neighbour_in_the_iommu_group_is_named(void **state)
{
	need_machine();
	machine_nic(NEIGHBOUR, "e1000e", NULL);
	machine_file("/sys/kernel/iommu_groups/7/devices/" NEIGHBOUR, "");
	told(-EBUSY, NIC " shares its IOMMU group with " NEIGHBOUR, "bind " NEIGHBOUR);
	machine_file("/sys/bus/pci/devices/" NEIGHBOUR "/class", "0x060400\n");
	assert_int_equal(host_check(&cfg, true, &err), 0);
}

static void nic_without_any_address_is_told(void **state)
{
	need_machine();
	cfg.ports[0].address_count = 0;
	told(-EADDRNOTAVAIL, "port p has no address", "add `address: 10.0.0.2/24`");
}

#define POOL_2M "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define POOL_1G "/sys/kernel/mm/hugepages/hugepages-1048576kB/"

static void absent_hugepages_are_told_where_they_matter(void **state)
{
	need_machine();
	machine_file(POOL_2M "free_hugepages", "0\n");
	told(-ENOMEM, "no hugepage is free",
		"echo 128 > " POOL_2M "nr_hugepages, or set `hugepages: false`");
	cfg.memory_mib = 1025;
	told(-ENOMEM, "no hugepage", "echo 513 > ");
	machine_file(POOL_2M "free_hugepages", "512\n");
	told(-ENOMEM,
		"only 1024 MiB of hugepages are free (512 of 2 MiB), and `memory:` needs 1025 MiB",
		"echo 513");
	machine_file(POOL_2M "free_hugepages", "513\n");
	assert_int_equal(host_check(&cfg, true, &err), 0);
	assert_int_equal(host_hugepages_free_mib(NULL, 0), 1026);
}

/* One page was enough to pass, and the daemon then ran on ordinary memory. */
static void hugepages_are_counted_against_what_the_daemon_needs(void **state)
{
	need_machine();
	cfg.memory_plan_mib = 192;
	machine_file(POOL_2M "free_hugepages", "1\n");
	machine_file(POOL_2M "nr_hugepages", "11\n");
	told(-ENOMEM,
		"only 2 MiB of hugepages are free (1 of 2 MiB), and this configuration needs 192 "
		"MiB",
		"echo 106 > " POOL_2M
		"nr_hugepages, or set `hugepages: false`"); /* ten are others' */
	cfg.is_hugepages_given = true;
	cfg.use_hugepages = false;
	assert_int_equal(host_check(&cfg, true, &err), 0);
	cfg.use_hugepages = true;
	machine_file(POOL_2M "free_hugepages", "96\n");
	assert_int_equal(host_check(&cfg, true, &err), 0);
}

static void hugepages_of_any_size_count(void **state)
{
	char text[96];

	need_machine();
	machine_without(POOL_2M "free_hugepages");
	machine_without(POOL_2M);
	machine_file(POOL_1G "free_hugepages", "0\n");
	cfg.memory_plan_mib = 1200;
	told(-ENOMEM, "no hugepage is free", "echo 2 > " POOL_1G "nr_hugepages");
	machine_file(POOL_1G "free_hugepages", "1\n");
	told(-ENOMEM, "only 1024 MiB of hugepages are free (1 of 1 GiB)", "echo 2 > ");
	machine_file(POOL_1G "free_hugepages", "2\n");
	assert_int_equal(host_check(&cfg, true, &err), 0);
	machine_file(POOL_2M "free_hugepages", "3\n");
	assert_int_equal(host_hugepages_free_mib(text, sizeof(text)), 2054);
	assert_non_null(strstr(text, "3 of 2 MiB"));
	assert_non_null(strstr(text, "2 of 1 GiB"));
}

static void hugepages_that_are_not_wanted_are_not_missed(void **state)
{
	need_machine();
	machine_without("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	assert_int_equal(host_hugepages_free_mib(NULL, 0), 0);
	cfg.is_hugepages_given = true;
	cfg.use_hugepages = false;
	assert_int_equal(host_check(&cfg, true, &err), 0);
	cfg.use_hugepages = true;
	told(-ENOMEM, "no hugepage", "echo");
}

static void locked_memory_limit_is_told(void **state)
{
	const struct rlimit small = {64 << 10, 64 << 10};
	int status;
	pid_t child;

	need_machine();
	machine_file("/proc/self/status", "Name:\tx\nCapEff:\t0000000000000000\n");
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool is_told = setrlimit(RLIMIT_MEMLOCK, &small) == 0 &&
			       host_check(&cfg, true, &err) == -ENOMEM &&
			       strstr(err.text, "only 64 KiB may be locked") &&
			       strstr(err.text, "ulimit -l unlimited");

		_exit(is_told ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void unloaded_ublk_is_told_to_be_loaded(void **state)
{
	need_machine();
	machine_without("/dev/ublk-control");
	machine_file("/lib/modules/6.12.0-test/modules.dep",
		"kernel/drivers/block/nbd.ko.xz:\nkernel/drivers/block/ublk_drv.ko.xz:\n");
	told(-ENODEV, "ublk driver is not loaded", "modprobe ublk_drv");
	assert_int_equal(host_check(&cfg, false, &err), 0);
}

static void kernel_without_ublk_is_told_the_package(void **state)
{
	need_machine();
	machine_without("/dev/ublk-control");
	machine_file("/lib/modules/6.12.0-test/modules.dep", "kernel/drivers/block/nbd.ko.xz:\n");
	told(-ENOSYS, "this kernel (6.12.0-test) has no ublk driver",
		"apt install linux-image-6.12-");
	assert_int_equal(host_check(&cfg, false, &err), 0);
}

static void kernel_without_taps_is_told_where_one_is_wanted(void **state)
{
	struct host_check_line lines[HOST_CHECK_LINE_MAX];
	unsigned count, found = 0;

	need_machine();
	machine_without("/dev/net/tun");
	cfg.ports[0].exception = EXCEPTION_AUTO;
	assert_int_equal(host_check(&cfg, true, &err), 0); /* auto does without */
	count = host_doctor(&cfg, lines, HOST_CHECK_LINE_MAX);
	for (unsigned i = 0; i < count; i++)
		found += strcmp(lines[i].what, "tap") == 0 && !lines[i].is_good &&
			 !lines[i].is_required;
	assert_int_equal(found, 1);
	cfg.ports[0].exception = EXCEPTION_TAP;
	told(-ENODEV, "there is no /dev/net/tun", "modprobe tun");
	cfg.ports[0].exception = EXCEPTION_OFF;
	count = host_doctor(&cfg, lines, HOST_CHECK_LINE_MAX);
	for (unsigned i = 0; i < count; i++)
		assert_string_not_equal(lines[i].what, "tap");
}

static void other_users_than_root_are_told(void **state)
{
	int status;
	pid_t child;

	need_machine();
	assert_int_equal(chmod(machine_root, 0755), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool is_told = seteuid(65534) == 0 && host_check(&cfg, true, &err) == -EPERM &&
			       strstr(err.text, "not root") && strstr(err.text, "sudo");

		_exit(is_told ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void doctor_goes_on_behind_the_first_finding(void **state)
{
	struct host_check_line lines[HOST_CHECK_LINE_MAX];
	unsigned count, bad_count = 0;

	need_machine();
	machine_without("/dev/ublk-control");
	machine_without("/sys/bus/pci/devices/" NIC "/iommu_group");
	machine_without("/sys/bus/pci/devices/" NIC "/driver");
	count = host_doctor(&cfg, lines, HOST_CHECK_LINE_MAX);
	for (unsigned i = 0; i < count; i++) {
		bad_count += !lines[i].is_good;
		assert_int_equal(lines[i].is_good, lines[i].remedy[0] == '\0');
		assert_int_equal(lines[i].is_good, lines[i].rc == 0);
	}
	assert_int_equal(bad_count, 3);
	assert_int_equal(host_doctor(&cfg, lines, 2), 2);
	assert_true(host_doctor(NULL, lines, HOST_CHECK_LINE_MAX) >= 4);
}

static void pci_facts_are_read(void **state)
{
	struct host_pci pci;

	need_machine();
	assert_int_equal(host_pci_read("00:03.0", &pci, &err), 0);
	assert_string_equal(pci.address, NIC);
	assert_string_equal(pci.driver, "vfio-pci");
	assert_string_equal(pci.iface, "");
	assert_true(pci.has_iommu_group);
	assert_int_equal(pci.vendor, 0x8086);
	assert_int_equal(pci.device, 0x10d3);
	assert_int_equal(host_pci_read("nonsense", &pci, &err), -EINVAL);
	assert_int_equal(host_pci_read("0000:00:1f.0", &pci, &err), -ENODEV);
	machine_dirs("/sys/bus/pci/devices/" NEIGHBOUR "/virtio3/net/ens4/");
	machine_file("/sys/bus/pci/devices/" NEIGHBOUR "/vendor", "0x1af4\n");
	assert_int_equal(host_pci_read(NEIGHBOUR, &pci, &err), -ENOENT);
	machine_file("/sys/bus/pci/devices/" NEIGHBOUR "/device", "0x1041\n");
	assert_int_equal(host_pci_read(NEIGHBOUR, &pci, &err), 0);
	assert_string_equal(pci.iface, "ens4");
	assert_string_equal(pci.driver, "");
	assert_false(pci.has_iommu_group);
}

static void want_of_memory_is_read_from_what_the_kernel_prints(void **state)
{
	struct host_memory_want want;

	machine_file("/proc/pressure/memory",
		"some avg10=1.00 avg60=0.50 avg300=0.10 total=123456\nfull avg10=0.00 total=99\n");
	machine_file(
		"/proc/vmstat", "nr_free_pages 5000\npgsteal_kswapd 777\npgsteal_direct 888\n");
	assert_int_equal(host_memory_want(&want), 0);
	assert_int_equal(want.stalled_us, 123456);
	assert_int_equal(want.reclaimed, 777);
}

static void want_of_memory_is_not_made_up(void **state)
{
	struct host_memory_want want;

	assert_int_equal(host_memory_want(&want), -ENOENT);
	machine_file("/proc/pressure/memory", "some avg10=1.00\n");
	machine_file("/proc/vmstat", "pgsteal_direct 888\n");
	assert_int_equal(host_memory_want(&want), -ENOENT);
	machine_file("/proc/vmstat", "pgsteal_kswapd 777\n");
	assert_int_equal(host_memory_want(&want), -EPROTO);
}

int main(void)
{
#define ON_MACHINE(test) cmocka_unit_test_setup_teardown(test, start, end)
	const struct CMUnitTest tests[] = {
		ON_MACHINE(want_of_memory_is_read_from_what_the_kernel_prints),
		ON_MACHINE(want_of_memory_is_not_made_up),
		ON_MACHINE(ready_machine_is_good),
		ON_MACHINE(absent_nic_is_told),
		ON_MACHINE(absent_iommu_is_told),
		ON_MACHINE(noiommu_mode_is_taken_for_an_answer),
		ON_MACHINE(nic_on_its_kernel_driver_is_told_the_commands),
		ON_MACHINE(nic_on_no_driver_is_told_shorter_commands),
		ON_MACHINE(bifurcated_nic_keeps_its_driver),
		ON_MACHINE(neighbour_in_the_iommu_group_is_named),
		ON_MACHINE(nic_without_any_address_is_told),
		ON_MACHINE(absent_hugepages_are_told_where_they_matter),
		ON_MACHINE(hugepages_are_counted_against_what_the_daemon_needs),
		ON_MACHINE(hugepages_of_any_size_count),
		ON_MACHINE(hugepages_that_are_not_wanted_are_not_missed),
		ON_MACHINE(locked_memory_limit_is_told),
		ON_MACHINE(unloaded_ublk_is_told_to_be_loaded),
		ON_MACHINE(kernel_without_ublk_is_told_the_package),
		ON_MACHINE(kernel_without_taps_is_told_where_one_is_wanted),
		ON_MACHINE(other_users_than_root_are_told),
		ON_MACHINE(doctor_goes_on_behind_the_first_finding),
		ON_MACHINE(pci_facts_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
