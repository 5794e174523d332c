// QCustomPlot's header, which needs Qt's keywords; this program is compiled without them, because `slots` is a word of
// the cost model. The only way in which QCustomPlot is included.
#pragma once

#define signals Q_SIGNALS
#define slots Q_SLOTS
#define emit
#define foreach Q_FOREACH
#include <qcustomplot.h>
#undef signals
#undef slots
#undef emit
#undef foreach
