// SPDX-License-Identifier: Apache-2.0
#include "decide/health_auto.h"

void health_auto_init(struct health_auto *automatic, u32 backends)
{
	*automatic = (struct health_auto){.backends = backends};
}

enum health_auto_answer health_auto_classify(u32 status)
{
	if (status == 0)
		return HEALTH_AUTO_NO_ANSWER;
	if (status >= 200 && status <= 299)
		return HEALTH_AUTO_GOOD;
	if (status == 501 || (status >= 300 && status <= 499))
		return HEALTH_AUTO_NO_PAGE;
	return HEALTH_AUTO_BAD;
}

bool health_auto_note(struct health_auto *automatic, enum health_auto_answer before,
	enum health_auto_answer answer)
{
	if (automatic->mode != HEALTH_AUTO_OPEN)
		return false;
	if (answer == HEALTH_AUTO_GOOD) {
		automatic->mode = HEALTH_AUTO_HTTP;
		return true;
	}
	if (before == HEALTH_AUTO_NO_PAGE)
		automatic->no_page--;
	if (answer == HEALTH_AUTO_NO_PAGE)
		automatic->no_page++;
	if (automatic->no_page < automatic->backends)
		return false;
	automatic->mode = HEALTH_AUTO_TCP;
	return true;
}

bool health_auto_judge(const struct health_auto *automatic, enum health_auto_answer answer)
{
	if (answer == HEALTH_AUTO_NO_PAGE)
		return automatic->mode != HEALTH_AUTO_HTTP;
	return answer == HEALTH_AUTO_GOOD;
}
