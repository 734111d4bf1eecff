//! `strftime_now`: the date in the words of a template, in UTC.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// `unix_seconds` in the format of C's `strftime` in the C locale; `Err` is the directive that is not known.
pub(super) fn strftime(format: &str, unix_seconds: i64) -> Result<String, String> {
    let (days, second_of_day) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    let month_name = MONTHS[month as usize - 1];
    let day_name = DAYS[days.rem_euclid(7) as usize];
    let half_day_hour = (hour + 11) % 12 + 1;
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(letter) = rest.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let mut directive = rest.next();
        // Glibc's flag for numbers without leading zeros.
        let unpadded = directive == Some('-');
        if unpadded {
            directive = rest.next();
        }
        let number = |value: i64, width: usize| match unpadded {
            true => value.to_string(),
            false => format!("{value:0width$}"),
        };
        text.push_str(&match directive {
            Some('Y') => year.to_string(),
            Some('y') => number(year.rem_euclid(100), 2),
            Some('m') => number(month, 2),
            Some('B') => month_name.to_owned(),
            Some('b' | 'h') => month_name[..3].to_owned(),
            Some('d') => number(day, 2),
            Some('j') => number(days - days_before(year) + 1, 3),
            Some('A') => day_name.to_owned(),
            Some('a') => day_name[..3].to_owned(),
            Some('H') => number(hour, 2),
            Some('I') => number(half_day_hour, 2),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('M') => number(minute, 2),
            Some('S') => number(second, 2),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('Z') => "UTC".to_owned(),
            Some('z') => "+0000".to_owned(),
            Some('%') => "%".to_owned(),
            Some(other) => return Err(format!("%{other}")),
            None => return Err("%".to_owned()),
        });
    }
    Ok(text)
}

/// Days from 1970 to the first of January of `year` in the Gregorian calendar.
fn days_before(year: i64) -> i64 {
    let past = year - 1;
    365 * (year - 1970) + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 477
}

/// Year, month and day of the month, `days` after the first of January 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(366);
    while days_before(year + 1) <= days {
        year += 1;
    }
    let leap = days_before(year + 1) - days_before(year) == 366;
    let mut day = days - days_before(year);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (month, length) in (1..).zip(lengths) {
        if day < length {
            return (year, month, day + 1);
        }
        day -= length;
    }
    unreachable!("a year has as many days as its months")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments with what Python's `strftime` says of them in UTC.
    #[test]
    fn dates_are_those_of_python() {
        let format = "%A %a %d %-d %B %b %m %Y %y %j %H %I %p %M %S %%";
        for (moment, expected) in [
            (0, "Thursday Thu 01 1 January Jan 01 1970 70 001 00 12 AM 00 00 %"),
            (951_827_696, "Tuesday Tue 29 29 February Feb 02 2000 00 060 12 12 PM 34 56 %"),
            (4_107_542_399, "Sunday Sun 28 28 February Feb 02 2100 00 059 23 11 PM 59 59 %"),
            (1_735_689_599, "Tuesday Tue 31 31 December Dec 12 2024 24 366 23 11 PM 59 59 %"),
        ] {
            assert_eq!(strftime(format, moment).unwrap(), expected);
        }
        assert_eq!(strftime("%F %T", 951_827_696).unwrap(), "2000-02-29 12:34:56");
        assert_eq!(strftime("%Q", 0), Err("%Q".to_owned()));
        assert_eq!(strftime("50%", 0), Err("%".to_owned()));
    }
}
