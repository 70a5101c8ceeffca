/*
 * A node's settings: what the command line and the file may say, which of the
 * two wins, and how a mistake is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/address.h"
#include "io/config.h"
#include "io/setting.h"
#include "scratch.h"

enum
{
	WORDS_MAX = 32
};

static struct dyn_config config;
static char said[64 * 1024]; /* on stdout and stderr, by the last read */
static char file_path[4096];
static char *directory;

/* Both streams go to one file while fn works; TAP lines stay out of it. */
static int
redirect(int stream, int to)
{
	int kept;

	fflush(stdout);
	kept = dup(stream);
	dup2(to, stream);
	return kept;
}

static void
restore(int stream, int kept)
{
	fflush(stdout);
	fflush(stderr);
	dup2(kept, stream);
	close(kept);
}

static enum dyn_config_outcome
read_words(char **words, int count)
{
	FILE *capture = tmpfile();
	enum dyn_config_outcome outcome;
	int kept[2];
	size_t size;

	assert_non_null(capture);
	kept[0] = redirect(STDOUT_FILENO, fileno(capture));
	kept[1] = redirect(STDERR_FILENO, fileno(capture));
	outcome = dyn_config_read(&config, count, words);
	restore(STDERR_FILENO, kept[1]);
	restore(STDOUT_FILENO, kept[0]);
	rewind(capture);
	size = fread(said, 1, sizeof(said) - 1, capture);
	said[size] = 0;
	fclose(capture);
	return outcome;
}

/* A command line, as one would type it; single blanks separate. */
static enum dyn_config_outcome
read_line(const char *line)
{
	char copy[8192];
	char *words[WORDS_MAX] = { "dynnode" };
	char *rest = copy;
	int count = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	while (line[0] != 0 && (words[count] = strsep(&rest, " ")) != NULL)
		assert_true(++count < WORDS_MAX);
	return read_words(words, count);
}

static enum dyn_config_outcome
read_file_of(const char *bytes, size_t size, const char *more)
{
	char *words[4] = { "dynnode", "-c", file_path, (char *) more };
	FILE *file = fopen(file_path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	return read_words(words, more ? 4 : 3);
}

static void
refuses_line(const char *line, const char *reason)
{
	if (read_line(line) != DYN_CONFIG_BAD || strstr(said, reason) == NULL)
		fail_msg("\"%s\" should be refused with \"%s\", said: %s", line, reason,
				 said);
}

static void
refuses_file(const char *text, const char *reason)
{
	if (read_file_of(text, strlen(text), NULL) != DYN_CONFIG_BAD ||
		strstr(said, reason) == NULL)
		fail_msg("<%s> should be refused with \"%s\", said: %s", text, reason,
				 said);
}

static void
takes_line(const char *line)
{
	if (read_line(line) != DYN_CONFIG_RUN)
		fail_msg("\"%s\" should be taken, said: %s", line, said);
	assert_string_equal(said, "");
}

static void
takes_file(const char *text, const char *more)
{
	if (read_file_of(text, strlen(text), more) != DYN_CONFIG_RUN)
		fail_msg("<%s> should be taken, said: %s", text, said);
	assert_string_equal(said, "");
}

/* ---- the command line ---- */

static void
without_arguments_it_is_one_node_on_this_machine(void **state)
{
	struct dyn_node_config core;

	takes_line("");
	assert_string_equal(config.listen, "127.0.0.1:7001");
	assert_string_equal(config.data, "./dynnode-data");
	core = dyn_config_for_core(&config);
	assert_string_equal(core.address, "127.0.0.1:7001");
	assert_int_equal(core.seed_count, 1);
	assert_string_equal(core.seeds[0], "127.0.0.1:7001");
}

static void
the_defaults_are_those_of_the_core(void **state)
{
	struct dyn_node_config core;

	takes_line("");
	core = dyn_config_for_core(&config);
	assert_int_equal(core.n, 0);
	assert_int_equal(core.r, 0);
	assert_int_equal(core.w, 0);
	assert_int_equal(core.partition_count, 256);
	assert_int_equal(core.value_size_max, DYN_VALUE_SIZE_DEFAULT);
	assert_int_equal(core.request_timeout_ms, 5000);
	assert_int_equal(core.hedge_ms, 50);
	assert_int_equal(core.heartbeat_ms, 500);
	assert_int_equal(core.silence_ms, 3000);
	assert_int_equal(core.anti_entropy_ms, 5000);
	assert_int_equal(core.requests_max, 4096);
}

static void
anti_entropy_can_be_turned_off(void **state)
{
	takes_line("--anti-entropy-ms 0");
	assert_int_equal(dyn_config_for_core(&config).anti_entropy_ms,
					 DYN_ANTI_ENTROPY_NEVER);
	takes_line("--anti-entropy-ms 100");
	assert_int_equal(dyn_config_for_core(&config).anti_entropy_ms, 100);
}

static void
every_setting_is_a_flag_with_its_default_as_a_value(void **state)
{
	for (int i = 0; i < dyn_setting_count; i++)
	{
		const struct dyn_setting *setting = &dyn_settings[i];
		char flag[8192];
		char *words[] = { "dynnode", flag };

		snprintf(flag, sizeof(flag), "--%s=%s", setting->name, setting->normal);
		if (read_words(words, 2) != DYN_CONFIG_RUN)
			fail_msg("%s is refused: %s", flag, said);
		assert_ptr_equal(dyn_setting_find(setting->name), setting);
	}
}

static void
flags_come_with_a_blank_or_an_equals_sign(void **state)
{
	takes_line("--n 3 --r=2 -w 1 --zone= --cluster-name a=b");
	assert_int_equal(config.n, 3);
	assert_int_equal(config.r, 2);
	assert_int_equal(config.w, 1);
	assert_string_equal(config.zone, "");
	assert_string_equal(config.cluster_name, "a=b");
}

static void
a_value_may_look_like_a_flag(void **state)
{
	takes_line("--cluster-name --help --zone -c");
	assert_string_equal(config.cluster_name, "--help");
	assert_string_equal(config.zone, "-c");
}

static void
what_is_no_flag_is_refused(void **state)
{
	refuses_line("file.cfg", "\"file.cfg\" is not a flag");
	refuses_line("-", "is not a flag");
	refuses_line("--", "is not a flag");
	refuses_line("---n 3", "is not a flag");
	refuses_line("-listen 127.0.0.1:7001", "is not a flag");
	refuses_line("--=3", "is not a flag");
	refuses_line("-x", "there is no setting \"x\"");
}

static void
an_unknown_flag_is_told_with_the_nearest_one(void **state)
{
	refuses_line("--partition 64", "perhaps \"partitions\"?");
	refuses_line("--lissen x", "perhaps \"listen\"?");
	refuses_line("--qqq 1", "there is no setting \"qqq\" (--help");
}

static void
a_flag_without_its_value_is_refused(void **state)
{
	refuses_line("--listen", "--listen needs a value");
	refuses_line("--n 3 -c", "-c needs a value");
	refuses_line("--config", "--config needs a value");
}

static void
numbers_are_whole_and_within_their_range(void **state)
{
	static const char *const bad[] = { "x",
									   "",
									   "-1",
									   "+1",
									   "1.5",
									   "0x2",
									   " 2",
									   "2 ",
									   "9",
									   "3K",
									   "1e1",
									   "2147483648",
									   "99999999999999999999999999" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		char flag[64];
		char *words[] = { "dynnode", flag };

		snprintf(flag, sizeof(flag), "--n=%s", bad[i]);
		assert_int_equal(read_words(words, 2), DYN_CONFIG_BAD);
		assert_non_null(strstr(said, "--n: "));
		assert_non_null(strstr(said, "is not a number from 0 to 8"));
	}
	takes_line("--n 0");
	takes_line("--n 8 --r 8 --w 8");
}

static void
sizes_take_k_m_and_g(void **state)
{
	takes_line("--value-size-max 16M --map-size-max 3g");
	assert_int_equal(config.value_size_max, 16 << 20);
	assert_true(config.map_size_max == (uint64_t) 3 << 30);
	takes_line("--value-size-max 7");
	assert_int_equal(config.value_size_max, 7);
	takes_line("--value-size-max 8k");
	assert_int_equal(config.value_size_max, 8192);
	refuses_line("--value-size-max 17M", "is not a number from 1 to 16777216");
	refuses_line("--value-size-max 1MB", "K, M and G may follow");
	refuses_line("--value-size-max 1T", "K, M and G may follow");
	refuses_line("--map-size-max 99999999999999999G", "is not a number");
}

static void
a_node_id_has_32_digits(void **state)
{
	char digits[33];

	takes_line("--node-id 0123456789abcdef0123456789abcdef");
	dyn_node_id_format(&config.member, digits);
	assert_string_equal(digits, "0123456789abcdef0123456789abcdef");
	takes_line("--node-id=");
	assert_true(dyn_node_id_is_zero(&config.member));
	refuses_line("--node-id 0123456789abcdef0123456789abcde",
				 "node-id: \"0123456789abcdef0123456789abcde\"");
	refuses_line("--node-id 00000000000000000000000000000000",
				 "is not a member's id");
	refuses_line("--node-id 0123456789abcdef0123456789abcdeg",
				 "32 hexadecimal digits");
}

static void
texts_end_where_their_room_does(void **state)
{
	char line[512];

	snprintf(line, sizeof(line), "--zone %063d", 1);
	takes_line(line);
	snprintf(line, sizeof(line), "--zone %064d", 1);
	refuses_line(line, "--zone: longer than 63 bytes");
}

static void
partitions_are_a_power_of_two(void **state)
{
	takes_line("--partitions 4096");
	takes_line("--partitions 1");
	refuses_line("--partitions 60", "power of two");
	refuses_line("--partitions 8192", "0 to 4096");
}

static void
a_node_is_not_silent_before_its_next_heartbeat(void **state)
{
	takes_line("--heartbeat-ms 100 --silence-ms 101");
	refuses_line("--heartbeat-ms 100 --silence-ms 100", "silence-ms");
}

static void
log_levels_are_four(void **state)
{
	takes_line("--log-level error");
	assert_int_equal(config.level, DYN_LOG_ERROR);
	takes_line("--log-level debug");
	assert_int_equal(config.level, DYN_LOG_DEBUG);
	refuses_line("--log-level loud", "error, warning, info or debug");
}

static void
help_tells_of_every_setting_and_starts_nothing(void **state)
{
	assert_int_equal(read_line("--help"), DYN_CONFIG_HELP);
	for (int i = 0; i < dyn_setting_count; i++)
	{
		char flag[80];

		snprintf(flag, sizeof(flag), "  --%s ", dyn_settings[i].name);
		assert_non_null(strstr(said, flag));
		assert_non_null(strstr(said, dyn_settings[i].help));
	}
	assert_non_null(strstr(said, "exit codes: 0 "));
	assert_int_equal(read_line("-h"), DYN_CONFIG_HELP);
	assert_int_equal(read_line("--n 3 --version"), DYN_CONFIG_HELP);
	assert_string_equal(said, "dynnode " DYN_VERSION "\n");
}

/* ---- addresses and seeds ---- */

static void
addresses_are_host_and_port(void **state)
{
	static const char *const bad[] = {
		"",           "host",     "host:",
		":1",         "host:0",   "host:65534",
		"host:65536", "host:-1",  "host:1x",
		"host:+1",    "::1:7001", "tcp://h:1",
		"a b:1",      "host: 1",  "host:99999999999999999999"
	};
	struct dyn_address address;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (dyn_address_parse(bad[i], &address))
			fail_msg("\"%s\" is taken", bad[i]);
	assert_true(dyn_address_parse("host:65533", &address));
	assert_string_equal(address.host, "host");
	assert_int_equal(address.port, 65533);
	assert_true(dyn_address_parse("[::1]:7001", &address));
	assert_string_equal(address.host, "[::1]");
	refuses_line("--listen 127.0.0.1:65536", "listen: \"127.0.0.1:65536\"");
	refuses_line("--advertise nowhere", "advertise: \"nowhere\"");
}

static void
an_address_that_the_network_reaches_must_be_asked_for(void **state)
{
	static const char *const open[] = { "0.0.0.0:7001", "10.0.0.1:7001",
										"*:7001", "[::]:7001",
										"localhost.example.org:7001" };
	char line[256];

	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
	{
		snprintf(line, sizeof(line), "--listen %s", open[i]);
		refuses_line(line, "--insecure-listen");
		snprintf(line, sizeof(line), "--listen %s --insecure-listen", open[i]);
		takes_line(line);
	}
	takes_line("--listen localhost:7001");
	takes_line("--listen 127.1.2.3:7001");
	takes_line("--listen [::1]:7001");
	refuses_line("--listen 0.0.0.0:7001 --insecure-listen=no",
				 "--insecure-listen");
}

static void
a_name_that_only_begins_like_loopback_is_not(void **state)
{
	refuses_line("--listen 127.evil.example.org:7001", "--insecure-listen");
	refuses_line("--listen 127.0.0.1.example.org:7001", "--insecure-listen");
}

static void
seeds_are_all_founding_nodes_this_one_among_them(void **state)
{
	struct dyn_node_config core;

	takes_line("--listen 127.0.0.1:7011 --seeds "
			   "127.0.0.1:7001,127.0.0.1:7011,host:7021");
	core = dyn_config_for_core(&config);
	assert_int_equal(core.seed_count, 3);
	assert_string_equal(core.seeds[0], "127.0.0.1:7001");
	assert_string_equal(core.seeds[2], "host:7021");
	takes_line("--listen 127.0.0.1:7001 --advertise me:7001 --seeds me:7001");
	refuses_line("--seeds 127.0.0.1:7011", "not among them");
	refuses_line("--seeds 127.0.0.1:7001,127.0.0.1:7001", "named twice");
	refuses_line("--seeds 127.0.0.1:7001,", "seeds: \"\" is not host:port");
	refuses_line("--seeds ,", "seeds: \"\" is not host:port");
	refuses_line("--seeds 127.0.0.1:7001;host:1", "is not host:port");
}

static void
seeds_are_no_more_than_a_cluster_has_members(void **state)
{
	char line[DYN_MEMBERS_MAX * 16 + 64] = "--seeds 127.0.0.1:7001";

	for (int i = 1; i < DYN_MEMBERS_MAX; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), ",h:%d",
				 1000 + i);
	takes_line(line);
	assert_int_equal(config.seed_count, DYN_MEMBERS_MAX);
	snprintf(line + strlen(line), sizeof(line) - strlen(line), ",h:999");
	refuses_line(line, "at most 64 nodes");
}

/* ---- the file ---- */

static void
a_file_has_names_values_comments_and_quotes(void **state)
{
	takes_file("# a node\n"
			   "\n"
			   "listen = 127.0.0.1:7011   # the first\r\n"
			   "\t\n"
			   "data = \"/tmp/with # and blanks\"\n"
			   "   # indented\n"
			   "n=3\n"
			   "insecure-listen = yes\n"
			   "zone = z", /* no end of line */
			   NULL);
	assert_string_equal(config.listen, "127.0.0.1:7011");
	assert_string_equal(config.data, "/tmp/with # and blanks");
	assert_int_equal(config.n, 3);
	assert_int_equal(config.insecure_listen, 1);
	assert_string_equal(config.zone, "z");
}

static void
flags_win_over_the_file(void **state)
{
	takes_file("r = 1\nw = 1\n", "--r=2");
	assert_int_equal(config.r, 2);
	assert_int_equal(config.w, 1);
}

static void
an_empty_file_changes_nothing(void **state)
{
	takes_file("", NULL);
	assert_string_equal(config.listen, "127.0.0.1:7001");
}

static void
mistakes_in_a_file_name_their_line(void **state)
{
	refuses_file("\n# c\ncolour = red\n",
				 "settings.cfg:3: there is no setting \"colour\"");
	refuses_file("n = 3\n\nr = x\n", "settings.cfg:3: r: \"x\"");
	refuses_file("n = 3\nr = 2\nn = 3\n",
				 "settings.cfg:3: \"n\" is set twice, first in line 1");
	refuses_file("n = 3\n= 2\n", "settings.cfg:2: not in the form");
	refuses_file("n = 3\nlisten = \"127.0.0.1:1\n", "settings.cfg:2: not in");
	refuses_file("partitions\n", "settings.cfg:1: partitions: \"\"");
	refuses_file("seeds = a:1,\n", "seeds: \"\"");
}

static void
all_mistakes_in_a_file_are_told_at_once(void **state)
{
	refuses_file("colour = red\nn = x\ntaste = sweet\n", ":1: ");
	assert_non_null(strstr(said, ":2: n"));
	assert_non_null(strstr(said, ":3: "));
}

static void
what_is_no_text_file_is_refused(void **state)
{
	char *words[] = { "dynnode", "--config", directory };
	char *absent[] = { "dynnode", "--config=/nowhere/at/all" };
	static char large[64 * 1024 + 2];

	assert_int_equal(read_words(words, 3), DYN_CONFIG_BAD);
	assert_non_null(strstr(said, "cannot read"));
	assert_int_equal(read_words(absent, 2), DYN_CONFIG_BAD);
	assert_non_null(strstr(said, "/nowhere/at/all"));
	assert_int_equal(read_file_of("n = 3\0r", 7, NULL), DYN_CONFIG_BAD);
	assert_non_null(strstr(said, "not a text file"));
	memset(large, '\n', sizeof(large));
	assert_int_equal(read_file_of(large, 64 * 1024 + 1, NULL), DYN_CONFIG_BAD);
	assert_non_null(strstr(said, "larger than 64 KiB"));
	assert_int_equal(read_file_of(large, 64 * 1024, NULL), DYN_CONFIG_RUN);
}

/* Noise is refused or taken, and read to its end either way. */
static void
no_file_of_noise_does_harm(void **state)
{
	static const char letters[] = "nrwlistendata=\"#, \t\n\r\x01\xff{}/:.-0123";
	uint32_t random = 12345;
	char text[300];

	for (int round = 0; round < 3000; round++)
	{
		size_t size = 1 + round % (sizeof(text) - 1);

		for (size_t i = 0; i < size; i++)
		{
			random = random * 1664525 + 1013904223;
			text[i] = letters[(random >> 16) % (sizeof(letters) - 1)];
		}
		read_file_of(text, size, NULL);
	}
}

static int
set_up(void **state)
{
	directory = scratch_make();
	snprintf(file_path, sizeof(file_path), "%s/settings.cfg", directory);
	return 0;
}

static int
tear_down(void **state)
{
	scratch_remove(directory);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_arguments_it_is_one_node_on_this_machine),
		cmocka_unit_test(the_defaults_are_those_of_the_core),
		cmocka_unit_test(anti_entropy_can_be_turned_off),
		cmocka_unit_test(every_setting_is_a_flag_with_its_default_as_a_value),
		cmocka_unit_test(flags_come_with_a_blank_or_an_equals_sign),
		cmocka_unit_test(a_value_may_look_like_a_flag),
		cmocka_unit_test(what_is_no_flag_is_refused),
		cmocka_unit_test(an_unknown_flag_is_told_with_the_nearest_one),
		cmocka_unit_test(a_flag_without_its_value_is_refused),
		cmocka_unit_test(numbers_are_whole_and_within_their_range),
		cmocka_unit_test(sizes_take_k_m_and_g),
		cmocka_unit_test(texts_end_where_their_room_does),
		cmocka_unit_test(partitions_are_a_power_of_two),
		cmocka_unit_test(a_node_is_not_silent_before_its_next_heartbeat),
		cmocka_unit_test(log_levels_are_four),
		cmocka_unit_test(help_tells_of_every_setting_and_starts_nothing),
		cmocka_unit_test(addresses_are_host_and_port),
		cmocka_unit_test(an_address_that_the_network_reaches_must_be_asked_for),
		cmocka_unit_test(a_name_that_only_begins_like_loopback_is_not),
		cmocka_unit_test(seeds_are_all_founding_nodes_this_one_among_them),
		cmocka_unit_test(seeds_are_no_more_than_a_cluster_has_members),
		cmocka_unit_test(a_file_has_names_values_comments_and_quotes),
		cmocka_unit_test(flags_win_over_the_file),
		cmocka_unit_test(an_empty_file_changes_nothing),
		cmocka_unit_test(a_node_id_has_32_digits),
		cmocka_unit_test(mistakes_in_a_file_name_their_line),
		cmocka_unit_test(all_mistakes_in_a_file_are_told_at_once),
		cmocka_unit_test(what_is_no_text_file_is_refused),
		cmocka_unit_test(no_file_of_noise_does_harm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("config", tests, set_up, tear_down);
}
