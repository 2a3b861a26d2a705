// SPDX-License-Identifier: Apache-2.0
#include "cli/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { ms_per_s = 1000, s_per_minute = 60, s_per_hour = 3600, s_per_day = 86400, days_shown = 100 };

static const double seconds_max = 1e14; // far beyond every clock

static struct unit unit(const char *format, ...) printf_like(1, 2);

static struct unit unit(const char *format, ...)
{
	struct unit made;
	va_list args;

	va_start(args, format);
	vsnprintf(made.text, sizeof(made.text), format, args);
	va_end(args);
	return made;
}

struct unit unit_number(double value)
{
	static const char letters[] = "kMGTP";
	double size = fabs(value);
	char letter = '\0';

	if (!isfinite(value))
		return unit("-");
	if (size < 0.005)
		return unit("0");
	for (u32 i = 0; size >= 999.5 && letters[i]; i++) {
		size /= 1000;
		letter = letters[i];
	}
	if (value < 0)
		return unit("%.0f", value);
	if (letter)
		return unit("%.*f%c", size < 9.995 ? 2 : size < 99.95 ? 1 : 0, size, letter);
	return unit("%.*f", size < 0.095 ? 2 : size < 99.95 ? 1 : 0, size);
}

struct unit unit_count(double value)
{
	return value >= 0 && value < 9999.5 ? unit("%.0f", value) : unit_number(value);
}

struct unit unit_percent(double ratio)
{
	double percent = ratio * 100;

	if (!isfinite(ratio))
		return unit("-");
	if (percent < 0.005)
		return unit("0%%");
	return unit("%.*f%%", percent < 0.995 ? 2 : percent < 9.95 ? 1 : 0, percent);
}

struct unit unit_us(double us)
{
	if (!isfinite(us))
		return unit("-");
	if (us < 999.5)
		return unit("%.0fµs", us);
	if (us < 999500)
		return unit("%.*fms", us < 9950 ? 1 : 0, us / 1e3);
	return unit("%.*fs", us < 9.95e6 ? 1 : 0, us / 1e6);
}

struct unit unit_span(double ms)
{
	double floor_s = floor(ms / ms_per_s);
	u64 s;

	if (!isfinite(ms))
		return unit("-");
	s = floor_s <= 0 ? 0 : (u64)MIN(floor_s, seconds_max);
	if (s < s_per_minute)
		return unit("%us", (unsigned)s);
	if (s < s_per_hour)
		return unit("%um%02us", (unsigned)s / s_per_minute, (unsigned)s % s_per_minute);
	if (s < s_per_day)
		return unit("%uh%02um", (unsigned)s / s_per_hour,
			(unsigned)s % s_per_hour / s_per_minute);
	if (s < (u64)days_shown * s_per_day)
		return unit(
			"%ud%02uh", (unsigned)s / s_per_day, (unsigned)s % s_per_day / s_per_hour);
	return unit("%ud", (unsigned)MIN(s / s_per_day, (u64)99999));
}

struct unit unit_times(double ratio)
{
	if (!isfinite(ratio))
		return unit("-");
	if (ratio >= 999.5)
		return unit(">999×");
	return unit("%.*f×", ratio < 9.95 ? 1 : 0, ratio);
}

static struct unit moment(double at_ms, const char *format)
{
	struct unit made;
	struct tm local;
	time_t s;

	if (!isfinite(at_ms))
		return unit("-");
	s = (time_t)MIN(MAX(at_ms / ms_per_s, 0.0), seconds_max);
	if (!localtime_r(&s, &local) || strftime(made.text, sizeof(made.text), format, &local) == 0)
		return unit("-");
	return made;
}

struct unit unit_clock(double at_ms)
{
	return moment(at_ms, "%H:%M:%S");
}

struct unit unit_date(double at_ms)
{
	return moment(at_ms, "%Y-%m-%d %H:%M:%S");
}

struct unit unit_clock_ms(double at_ms)
{
	struct unit made = unit_clock(at_ms);
	size_t len = strlen(made.text);

	if (isfinite(at_ms))
		snprintf(made.text + len, sizeof(made.text) - len, ".%03u",
			(unsigned)fmod(MAX(at_ms, 0.0), ms_per_s));
	return made;
}
