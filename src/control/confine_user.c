// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/confine_inside.h"

static int set_capabilities(u32 mask)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = mask, .permitted = mask, .inheritable = mask}};

	return syscall(SYS_capset, &head, data) == 0 ? 0 : -errno;
}

// Ambient, so that a library that looks at its own process finds it as it would after an exec.
static int keep_ports(void)
{
	int error = set_capabilities(1u << CAP_NET_BIND_SERVICE);

	if (!error && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) != 0)
		error = -errno;
	return error;
}

// Where the admin socket is by default; root makes it for whom it becomes.
static void give_folder(const struct passwd *user)
{
	static const char folder[] = "/run/weir";

	if (mkdir(folder, 0750) == 0 || errno == EEXIST)
		if (chown(folder, user->pw_uid, user->pw_gid) != 0)
			return; // the log will say that nobody can look
}

static int become(const struct passwd *user)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
		initgroups(user->pw_name, user->pw_gid) != 0 ||
		setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
		setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
		return -errno;
	// Else its own entries in /proc would belong to root.
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return keep_ports();
}

int confine_user(struct str user, char name[static 64], char why[static CONFINE_WHY_MAX])
{
	const struct passwd *found;
	int error;

	snprintf(name, 64, "%.*s", (int)MIN(user.len, 63u), user.ptr);
	found = getpwnam(name);
	if (!found) {
		snprintf(why, CONFINE_WHY_MAX,
			"runtime.user: there is no user '%.63s'. Make one: adduser --system", name);
		return -ENOENT;
	}
	if (geteuid() == found->pw_uid) {
		name[0] = '\0';
		return 0;
	}
	if (geteuid() != 0) {
		snprintf(why, CONFINE_WHY_MAX,
			"runtime.user: only root can become '%.63s'. Start weir as root or as that "
			"user",
			name);
		return -EPERM;
	}
	give_folder(found);
	error = become(found);
	if (error)
		snprintf(why, CONFINE_WHY_MAX, "runtime.user: cannot become '%.63s': %.40s", name,
			strerror(-error));
	return error;
}
