/*
 * test_config_docs.c - what is written about sluice.yaml is true of it
 *
 * The example loads, with every line that is commented out put in as well; the manual page names
 * every key of the schema. DOCS_DIR comes from the build.
 */
#include "config/config_raw.h"
#include "tests/unit/between.h"
#include "tests/unit/config/yaml_file.h"

static char text[1 << 16];

static void document_read(const char *name)
{
	char path[512];
	FILE *file;
	size_t bytes;

	snprintf(path, sizeof(path), "%s/%s", DOCS_DIR, name);
	file = fopen(path, "r");
	assert_non_null(file);
	bytes = fread(text, 1, sizeof(text) - 1, file);
	assert_between(bytes, 100, sizeof(text) - 2);
	text[bytes] = '\0';
	fclose(file);
}

static void example_loads(void **state)
{
	document_read("sluice.yaml");
	loads(text);
	assert_int_equal(cfg.port_count, 1);
	assert_string_equal(cfg.ports[0].device, "0000:00:03.0");
	assert_int_equal(cfg.volume_count, 2);
	assert_int_equal(cfg.volumes[1].uri_count, 2);
	assert_int_equal(cfg.protect_count, 2);
}

/* "    # mtu: 1500" becomes a key; sentences, which have no "word: ", stay comments. */
static void comments_open(void)
{
	for (char *line = text; line; line = strchr(line, '\n')) {
		char *mark = line + strspn(line, "\n ");
		size_t word;

		if (strncmp(mark, "# ", 2) == 0) {
			word = strspn(mark + 2, "abcdefghijklmnopqrstuvwxyz_");
			if (word > 0 && strncmp(mark + 2 + word, ": ", 2) == 0)
				memmove(mark, mark + 2, strlen(mark + 2) + 1);
		}
		line++;
	}
}

static void example_shows_the_defaults(void **state)
{
	static struct config shown;

	document_read("sluice.yaml");
	loads(text);
	shown = cfg;
	comments_open();
	loads(text);
	/* What is written out as its default changes nothing,
	 * but for what is computed if absent. */
	assert_int_equal(cfg.ports[0].mtu, 1500);
	assert_int_equal(cfg.ports[0].cpu_count, 1);
	assert_int_equal(cfg.memory_mib, 256);
	assert_true(cfg.use_hugepages);
	assert_int_equal(cfg.volumes[0].connections, cfg.ports[0].queues);
	cfg.volumes[0].connections = 0;
	cfg.ports[0].mtu = 0;
	cfg.ports[0].cpu_count = 0;
	cfg.memory_mib = 0;
	cfg.use_hugepages = shown.use_hugepages;
	cfg.is_hugepages_given = false;
	assert_memory_equal(&cfg, &shown, sizeof(cfg));
}

static void keys_are_told(const struct schema_field *fields, unsigned *count)
{
	for (; fields->key; fields++) {
		char line[64];

		snprintf(line, sizeof(line), "\n*%s*\n\t", fields->key);
		if (!strstr(text, line))
			fail_msg("sluice.yaml(5) does not tell of %s", fields->key);
		(*count)++;
	}
}

static void manual_page_tells_of_every_key(void **state)
{
	const struct schema_field *top = config_schema.fields;
	unsigned count = 0;

	document_read("man/sluice.yaml.5.scd");
	keys_are_told(top, &count);
	for (; top->key; top++) {
		if (top->value.type == SCHEMA_MAPPING)
			keys_are_told(top->value.fields, &count);
		else if (top->value.type == SCHEMA_LIST)
			keys_are_told(top->value.entry->fields, &count);
	}
	assert_true(count > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_loads),
		cmocka_unit_test(example_shows_the_defaults),
		cmocka_unit_test(manual_page_tells_of_every_key),
	};

	return cmocka_run_group_tests(tests, yaml_setup, yaml_teardown);
}
