/* Calendar in UTC (days by H. Hinnant's civil_from_days, proleptic Gregorian). */
#include "coordinator/analysis/rules/eval.h"

typedef struct civil {
    int64_t year;
    int month, day, yearday;
} civil;

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}
static bool leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}
static int month_days(int64_t y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[m - 1] + (m == 2 && leap(y));
}

static civil civil_of(int64_t s)
{
    int64_t z = floor_div(s, 86400) + 719468;
    int64_t era = floor_div(z, 146097), doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    civil c = {.month = (int)(mp < 10 ? mp + 3 : mp - 9), .day = (int)(doy - (153 * mp + 2) / 5 + 1)};
    c.year = yoe + era * 400 + (c.month <= 2);
    c.yearday = c.day;
    for (int m = 1; m < c.month; m++)
        c.yearday += month_days(c.year, m);
    return c;
}

double rules_date_minute(int64_t s)
{
    return (double)(floor_div(s, 60) - floor_div(s, 3600) * 60);
}
double rules_date_hour(int64_t s)
{
    return (double)(floor_div(s, 3600) - floor_div(s, 86400) * 24);
}
double rules_date_weekday(int64_t s)
{
    int64_t d = (floor_div(s, 86400) + 4) % 7;
    return (double)(d < 0 ? d + 7 : d);
}
double rules_date_day(int64_t s)
{
    return civil_of(s).day;
}
double rules_date_yearday(int64_t s)
{
    return civil_of(s).yearday;
}
double rules_date_month(int64_t s)
{
    return civil_of(s).month;
}
double rules_date_month_days(int64_t s)
{
    civil c = civil_of(s);
    return month_days(c.year, c.month);
}
double rules_date_year(int64_t s)
{
    return (double)civil_of(s).year;
}
